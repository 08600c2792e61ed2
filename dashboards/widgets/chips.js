// Methods to tick, each with a sample of the line it is drawn with; one that was added can be taken away again.
export function render({model, el}) {
  const group = element("div", el, {class: "chips", role: "group", "aria-label": "Methods"})
  const draw = () => {
    const focused = el.activeElement?.value ?? el.getRootNode().activeElement?.value
    group.replaceChildren()
    for (const {key, label, help, colour, strokes, checked, removable} of model.items) {
      const chip = element("label", group, {class: "chip", title: help})
      chip.style.setProperty("--colour", colour)
      const box = element("input", chip, {type: "checkbox", value: key})
      box.checked = checked
      box.onchange = () => model.send_msg({toggle: [key, box.checked]})
      chip.insertAdjacentHTML("beforeend", `<svg width="24" height="4" aria-hidden="true"><path d="M0 2h24" stroke="${colour}" stroke-width="4" stroke-dasharray="${strokes}"/></svg>`)
      chip.append(label)
      if (removable) button(chip, "×", () => model.send_msg({toggle: [key, false]}), {class: "away", "aria-label": `Remove ${key}`})
      if (key === focused) box.focus()
    }
  }
  model.on("items", draw)
  model.on("msg:custom", draw)
  shade(model, group)
  draw()
}
