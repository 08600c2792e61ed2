// The table is drawn and sorted on the server. Here are clicks, and what has the focus across drawings.

export function render({model, el}) {
  const section = element("section", el, {class: "box results"})
  const said = element("span", section, {class: "said", role: "status"})
  const body = element("div", section)
  const draw = () => {
    const focused = el.getRootNode().activeElement?.id
    const {scrollLeft, scrollTop} = body.querySelector("#rows") ?? {}
    body.innerHTML = model.body
    body.querySelector("#rows")?.scrollTo(scrollLeft ?? 0, scrollTop ?? 0)
    if (focused) body.querySelector(`#${CSS.escape(focused)}`)?.focus({preventScroll: true})
  }
  body.onclick = ({target}) => {
    const made = target.closest("button")
    if (made?.dataset.act === "copy") copy(made, made.dataset.value, said)
    else if (made) model.send_msg({[made.dataset.act]: made.dataset.value})
  }
  model.on("body", draw)
  model.on("msg:custom", (data) => save(data.text, data.file, data.type))
  shade(model, section)
  draw()
}
