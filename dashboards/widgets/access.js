// Every part of a page has a shadow root of its own: each is watched for what is added to it.
const OPENS = new Set(["Enter", " ", "ArrowDown", "ArrowUp", "F4"])
const NUMBER_FIELD = ".MuiInputBase-adornedStart.MuiInputBase-adornedEnd"
let chooser = null // the drop-down used last

// Select and MultiChoice give MUI the state `open` without `onOpen`, which is what MUI calls for a key.
function openByKey(event, target) {
  if (!OPENS.has(event.key) || target.getAttribute("aria-expanded") === "true") return
  event.preventDefault()
  const open = () => target.click()
  if (event.key === " ") target.addEventListener("keyup", open, {once: true}) // released on an option it would choose that
  else open()
}

// NumberInput takes the Enter key for the loss of the focus, and takes nothing more until it has the focus again.
function takeFocusAgain(field) {
  setTimeout(() => { field.blur(); field.focus() })
}

// The options are one child of MUI's menu, which therefore neither knows them as options nor finds the chosen one.
function makeOption(item) {
  const chosen = item.textContent.trim() === chooser?.textContent.trim()
  item.setAttribute("role", "option")
  item.setAttribute("aria-selected", chosen)
  if (chosen) requestAnimationFrame(() => item.focus())
}

// Of several options the one just chosen is taken off the list, and with it would go the focus and every further key.
function keepFocus({target, nextSibling, previousSibling}) {
  if (target.role === "listbox" && target.isConnected && !target.getRootNode().activeElement) (nextSibling ?? previousSibling)?.focus()
}

// The arrow keys do what the two buttons of a number field do, so that neither needs to be a tab stop.
function nameStep(step) {
  const label = step.closest(".MuiFormControl-root").querySelector("label")?.textContent ?? "the number"
  step.setAttribute("aria-label", `${step.closest(".MuiInputAdornment-positionStart") ? "Decrease" : "Increase"} ${label}`)
  step.tabIndex = -1
}

const MENDS = [
  ["[role=listbox] [role=menuitem]", makeOption],
  [`${NUMBER_FIELD} button:not([aria-label])`, nameStep],
  ["label span[aria-label]:not([role])", (help) => help.setAttribute("role", "img")], // the text of the sign "i"
]

export function render({model}) {
  const observer = new MutationObserver((records) => {
    for (const record of records) {
      for (const node of record.addedNodes) if (node instanceof HTMLElement) visit(node)
      if (record.removedNodes.length) keepFocus(record)
    }
  })
  const visit = (node) => {
    for (const part of [node, ...node.querySelectorAll("*")]) {
      if (part.shadowRoot) watch(part.shadowRoot)
      for (const [selector, mend] of MENDS) if (part.matches?.(selector)) mend(part)
    }
  }
  const watch = (root) => {
    observer.observe(root, {childList: true, subtree: true})
    visit(root)
  }
  const onUse = (event) => { chooser = event.composedPath()[0].closest?.("[role=combobox]") ?? chooser }
  const onKey = (event) => {
    const [target] = event.composedPath()
    if (event.ctrlKey || event.altKey || event.metaKey) return
    if (target.matches?.("div[role=combobox]")) openByKey(event, target)
    if (event.key === "Enter" && target.matches?.(`${NUMBER_FIELD} input`)) takeFocusAgain(target)
  }
  const listeners = [["pointerdown", onUse, true], ["keydown", onUse, true], ["keydown", onKey, false]]
  for (const listener of listeners) document.addEventListener(...listener)
  watch(document.documentElement)
  model.on("remove", () => {
    observer.disconnect()
    for (const listener of listeners) document.removeEventListener(...listener)
  })
}
