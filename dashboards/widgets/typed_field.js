// A text field with its label in the frame, like the fields of Material UI beside it.
export function render({model, el}) {
  const box = element("div", el, {class: "field"})
  const {field, settle} = typedField(box, {title: model.help}, () => model.value, (typed) => model.send_msg({typed}))
  const name = element("legend", element("fieldset", box, {"aria-hidden": true}))
  const dress = () => {
    name.textContent = model.label
    field.setAttribute("aria-label", model.label)
  }
  model.on("label", dress)
  model.on("value", settle)
  model.on("msg:custom", settle)
  shade(model, box)
  dress()
  settle()
}
