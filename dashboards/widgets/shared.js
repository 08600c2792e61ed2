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

// Copies a command; the button, and `said` to a screen reader, tell whether the browser allowed it.
async function copy(made, command, said) {
  try {
    await navigator.clipboard.writeText(command)
    said.textContent = made.textContent = "Copied"
  } catch {
    made.textContent = "Not allowed"
    said.textContent = `The browser does not allow copying: ${command}`
  }
  setTimeout(() => { made.textContent = "Copy" }, 1500)
}

function save(text, name, type) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type}))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

const FRAME_MS = 50
const SPEEDS = [1, 2, 4, 8, 16] // steps a second

// The buttons of a film: to play, to go back, a slider through its steps and a choice of its speed. `show(step)` draws
// a step, and `idle()` is called between steps, to draw again what others have drawn anew. The film has no step before
// the first `load(last, stays)`; with `stays` it goes on at the step that is shown, and with `at_end` at the last.
function transport(bar, {what, back, unit, speed, words = {class: "readout", role: "status", "aria-live": "off"}}, {show, idle}) {
  const play = button(bar, "Play", () => run(!playing), {class: "play"})
  const reset = button(bar, "Reset", () => { playing = false; go(0) }, {title: back})
  const position = element("input", element("label", bar, {title: `Move through the ${unit}s`}, unit), {type: "range", min: 0, step: 1, "aria-label": what})
  const speeds = element("select", element("label", bar, {title: `${what}s a second while it plays`}, "speed"), {"aria-label": `${what}s a second`})
  for (const each of SPEEDS) speeds.add(new Option(`${each} a second`, each, false, each === speed))
  const readout = element("output", bar, words)
  let last = 0
  let step = 0
  let playing = false
  let moved = 0 // when the last step was shown, while it plays

  const say = () => {
    position.max = last
    position.value = step
    play.textContent = playing ? "Pause" : "Play"
    play.setAttribute("aria-pressed", playing)
    play.disabled = reset.disabled = position.disabled = last < 1
    bar.dataset.step = step
  }
  const go = (to) => {
    step = Math.min(to, last)
    say()
    show(step)
  }
  const run = (on) => {
    playing = on && last > 0
    if (playing && step >= last) go(0)
    moved = performance.now()
    say()
  }
  const load = (to, stays, at_end = false) => {
    last = to
    if (!stays) playing = false
    go(at_end ? to : stays ? step : 0)
  }
  position.oninput = () => { playing = false; go(Number(position.value)) }
  const clock = setInterval(() => {
    if (playing && performance.now() - moved >= 1000 / Number(speeds.value)) {
      moved = performance.now()
      go(step + 1)
      if (step >= last) run(false)
    } else idle()
  }, FRAME_MS)
  return {load, readout, step: () => step, last: () => last, end: () => clearInterval(clock)}
}
