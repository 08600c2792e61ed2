// Used by several scripts of this folder; each is sent to the browser with this text in front.

function element(tag, parent, attributes = {}, text = "") {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  if (text) made.append(text)
  parent.append(made)
  return made
}

function button(parent, text, onclick, attributes = {}) {
  const made = element("button", parent, {type: "button", ...attributes}, text)
  made.onclick = onclick
  return made
}

// A text field that shows what `written` returns, but keeps what is being typed. It goes to `send` by the Enter key, or
// when the field is left.
function typedField(parent, attributes, written, send) {
  const field = element("input", parent, {type: "text", autocomplete: "off", ...attributes})
  let typing = false
  const settle = () => { if (!typing) field.value = written() }
  const enter = () => { if (typing) { typing = false; send(field.value) } }
  field.oninput = () => { typing = true }
  field.onkeydown = ({key}) => { if (key === "Enter") enter() }
  field.onblur = enter
  return {field, settle}
}

// The colours follow the switch between light and dark.
function shade(model, box) {
  const follow = () => box.classList.toggle("dark", model.dark)
  model.on("dark", follow)
  follow()
}

// Draws anew what is not there already. The control that had the focus keeps it, or the one that takes its place.
function renew(holder, wanted, draw) {
  const now = JSON.stringify(wanted)
  if (holder.dataset.now === now) return
  holder.dataset.now = now
  const controls = () => [...holder.querySelectorAll("button, select")]
  const at = controls().indexOf(holder.getRootNode().activeElement)
  holder.replaceChildren()
  for (const one of wanted) draw(one)
  controls()[at]?.focus()
}

function save(text, name, type) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type}))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}
