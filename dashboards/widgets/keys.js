// Left and right arrow anywhere on the page, unless something that uses arrows itself has the focus; and Escape.
const USES_ARROWS = new Set(["INPUT", "TEXTAREA", "SELECT"])
const ROLES = new Set(["combobox", "listbox", "option", "menu", "menuitem", "slider", "spinbutton", "tab", "radio", "textbox"])

function ownsArrows(target) {
  // A closed drop-down keeps the focus after a choice and has no use for left and right.
  if (target.getAttribute?.("role") === "combobox" && target.getAttribute("aria-expanded") !== "true" && target.tagName !== "INPUT") return false
  return USES_ARROWS.has(target.tagName) || target.isContentEditable || ROLES.has(target.getAttribute?.("role"))
}

export function render({model}) {
  const step = {ArrowLeft: -1, ArrowRight: 1}
  const onKey = (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) model.send_msg({escape: true})
    if (!(event.key in step) || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    if (ownsArrows(event.composedPath()[0])) return
    event.preventDefault()
    model.send_msg({step: step[event.key]})
  }
  document.addEventListener("keydown", onKey)
  model.on("remove", () => document.removeEventListener("keydown", onKey))
}
