// A slider with a field for the number. While it is moved at most ten numbers a second go to the server.
const SEND_MS = 100
const STILL_MS = 500
const KEYS = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}

export function render({model, el}) {
  const box = element("div", el, {class: "box knob", role: "group", title: model.help, "aria-label": model.label})
  const name = element("span", box, {class: "name"}, model.label)
  const range = element("input", box, {type: "range", "aria-label": model.label})
  const about = {inputmode: "decimal", "aria-label": `${model.label}, number`}
  const tell = (what) => { // what is told now takes the place of a move that waits to be sent
    clearTimeout(timer)
    timer = null
    moved = -STILL_MS
    model.send_msg(what)
  }
  const enter = (typed) => tell({typed})
  const number = typedField(box, about, () => written(model.value), enter)
  const note = element("span", box, {class: "note"})
  const choices = element("span", box)
  let timer = null
  let moved = -STILL_MS

  const written = (value) => String(model.whole ? Math.round(value) : Number(Number(value).toPrecision(3)))
  // A logarithmic slider goes from 0 to model.notches; a lowest value of 0 stands one notch below all others.
  const low = () => (model.low > 0 ? model.low : 1)
  const span = () => Math.log(Math.max(model.high, low() * 1.000001) / low())
  const toNotch = (value) => {
    if (!model.logarithmic) return value
    return value < low() ? -1 : Math.round((model.notches * Math.log(value / low())) / span())
  }
  const toText = (notch) => {
    if (!model.logarithmic) return written(notch)
    return written(notch < 0 ? 0 : low() * Math.exp((span() * notch) / model.notches))
  }
  const settle = () => {
    clearTimeout(settle.later)
    const wait = moved + STILL_MS - performance.now()
    if (wait > 0) { settle.later = setTimeout(settle, wait); return } // what is being moved stays under the hand
    range.min = model.logarithmic ? (model.low > 0 ? 0 : -1) : model.low
    range.max = model.logarithmic ? model.notches : model.high
    range.step = model.logarithmic || model.whole ? 1 : "any"
    range.value = toNotch(model.value)
    number.settle()
    range.setAttribute("aria-valuetext", `${written(model.value)} ${model.note}`)
  }
  const dress = () => {
    name.textContent = model.label
    box.title = model.help
    for (const [part, words] of [[box, ""], [range, ""], [number.field, ", number"]]) part.setAttribute("aria-label", model.label + words)
    note.textContent = model.note
    renew(choices, model.choices, ([key, text, help, pressed]) => {
      const choose = () => tell({choice: key})
      button(choices, text, choose, {title: help, "aria-pressed": pressed})
    })
  }
  const send = () => { timer = null; model.send_msg({typed: toText(Number(range.value))}) }
  range.oninput = () => {
    moved = performance.now()
    number.field.value = toText(Number(range.value))
    timer ??= setTimeout(send, SEND_MS)
  }
  range.onkeydown = (event) => { // one notch of whole numbers may be no step at all
    const by = KEYS[event.key]
    if (!by || !model.logarithmic || !model.whole) return
    event.preventDefault()
    let notch = Number(range.value)
    const from = toText(notch)
    while (toText(notch) === from && notch + by >= Number(range.min) && notch + by <= model.notches) notch += by
    range.value = notch
    range.oninput()
  }
  for (const part of ["value", "low", "high"]) model.on(part, settle)
  for (const part of ["label", "help", "note", "choices"]) model.on(part, dress)
  model.on("msg:custom", () => { moved = -STILL_MS; settle() })
  shade(model, box)
  dress()
  settle()
}
