// Plays the film of SVI: moves an outline and its trail over the contours and a dot along the ELBO. All frames are here
// already; a frame redraws shapes alone, and nothing goes to the server while it plays.

const FRAME_MS = 60
const VIEWS = {contours: "lab_contours", bound: "lab_bound"}

function line(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x},${y}`).join("")
}

function dot([x, y], colour) {
  return {
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -5, x1: 5, y0: -5, y1: 5,
    fillcolor: colour, line: {width: 1, color: "#ffffff"},
  }
}

function shapesAt({paths, centres, elbo, colour}, step) {
  const finite = centres.slice(0, step + 1).filter((centre) => !centre.includes(null))
  const contours = !finite.length ? [] : [
    {type: "path", path: line(finite), line: {color: colour, width: 1.5, dash: "dot"}},
    ...(paths[step] ? [{type: "path", path: paths[step], line: {color: colour, width: 3}}] : []),
    dot(finite.at(-1), colour),
  ]
  const done = elbo.slice(0, step + 1).map((e, k) => [k, e]).filter(([, e]) => e !== null)
  const bound = done.length ? [{type: "path", path: line(done), line: {color: colour, width: 3}}, dot(done.at(-1), colour)] : []
  return {contours, bound}
}

export function render({model, el}) {
  const bar = element("div", el, {class: "box film", role: "group", "aria-label": "SVI player"})
  const play = button(bar, "Play", () => run(!playing), {class: "play"})
  const reset = button(bar, "Reset", () => { playing = false; go(0) }, {title: "Back to the encoder's own answer"})
  const position = element("input", element("label", bar, {title: "Move through the steps"}, "step"), {type: "range", min: 0, step: 1, "aria-label": "Step"})
  const words = element("output", bar, {class: "readout", role: "status", "aria-live": "off"})

  let film = null
  let last = 0
  let step = 0
  let playing = false
  let shapes = null // of this step
  const drawn = new Map() // view -> its shapes as they were drawn; a view that was drawn anew has lost them

  const say = () => {
    position.max = last
    position.value = step
    play.textContent = playing ? "Pause" : "Play"
    play.setAttribute("aria-pressed", playing)
    play.disabled = reset.disabled = position.disabled = last < 1
    bar.classList.toggle("busy", model.busy)
    if (!film) { words.textContent = model.busy ? "computing…" : ""; return }
    const elbo = film.elbo[step]
    const below = elbo === null ? "" : `, ${(film.log_px - elbo).toFixed(2)} below log p(x)`
    words.textContent = `${step} of ${last}: ELBO ${elbo === null ? "not a number" : elbo.toFixed(2)} nats${below}`
    bar.dataset.step = step
    bar.dataset.elbo = elbo ?? ""
  }
  const draw = () => {
    for (const [key, view] of Object.entries(VIEWS)) {
      const plot = window.gpvaePlots?.[view]
      if (!shapes || !plot?._fullLayout || (drawn.has(view) && drawn.get(view) === plot.layout.shapes)) continue
      window.Plotly.relayout(plot, {shapes: shapes[key]})
      drawn.set(view, plot.layout.shapes)
    }
  }
  const go = (to) => {
    step = Math.min(to, last)
    shapes = film && shapesAt(film, step)
    drawn.clear()
    say()
    draw()
  }
  const run = (on) => { playing = on && last > 0; if (playing && step >= last) step = 0; say() }
  const load = () => {
    film = model.frames ? JSON.parse(model.frames) : null
    last = film ? film.elbo.length - 1 : 0
    step = 0
    run(playing || model.plays)
    go(0)
  }
  position.oninput = () => { playing = false; go(Number(position.value)) }

  const clock = setInterval(() => {
    if (playing) { go(step + 1); if (step >= last) run(false) }
    else draw()
  }, FRAME_MS)
  model.on("remove", () => clearInterval(clock))
  model.on("frames", load)
  model.on("busy", say)
  shade(model, bar)
  load()
}
