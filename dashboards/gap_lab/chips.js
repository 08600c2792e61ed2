// Methods to tick, each in the colour it is drawn in; one that was added can be taken away again.

function element(tag, className, parent) {
  const made = document.createElement(tag)
  made.className = className
  parent.append(made)
  return made
}

export function render({model, el}) {
  const group = element("div", "chips", el)
  group.setAttribute("role", "group")
  group.setAttribute("aria-label", "Methods")
  const draw = () => {
    group.classList.toggle("dark", model.dark)
    const focused = el.activeElement?.value ?? el.getRootNode().activeElement?.value
    group.replaceChildren()
    for (const {key, label, colour, checked, removable} of model.items) {
      const chip = element("label", "chip", group)
      chip.title = key
      chip.style.setProperty("--colour", colour)
      const box = element("input", "", chip)
      box.type = "checkbox"
      box.value = key
      box.checked = checked
      box.onchange = () => model.send_msg({toggle: key, on: box.checked})
      chip.append(label)
      if (removable) {
        const away = element("button", "away", chip)
        away.type = "button"
        away.textContent = "×"
        away.setAttribute("aria-label", `Remove ${key}`)
        away.onclick = () => model.send_msg({remove: key})
      }
      if (key === focused) box.focus()
    }
  }
  model.on("items", draw)
  model.on("dark", draw)
  draw()
}
