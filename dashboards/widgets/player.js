// Plays the film of SVI: moves an outline and its trail over the contours, a dot along the ELBO, and the stack of its
// gaps. All frames are here already; a frame redraws shapes alone, and nothing goes to the server while it plays.

const VIEWS = {contours: "lab_contours", bound: "lab_bound", gaps: "lab_gaps"}

function line(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x},${y}`).join("")
}

function dot([x, y], colour) {
  return {
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -5, x1: 5, y0: -5, y1: 5,
    fillcolor: colour, line: {width: 1, color: "#ffffff"},
  }
}

// The stack of the gaps from log p(x), at 0, down to the ELBO, with its length below it; x is where the figure has
// room for it.
function stack({elbo, log_px, best_diagonal, bars: [approximation, amortization, ink]}, step) {
  if (elbo[step] === null) return () => []
  const [end, whole] = [log_px - elbo[step], log_px - best_diagonal]
  const bar = (x, y0, y1, fillcolor, label) => ({
    type: "rect", x0: x - 0.28, x1: x + 0.28, y0, y1, fillcolor, line: {width: 0.8, color: ink}, ...(label ? {label} : {}),
  })
  const label = {text: `<b>${end.toFixed(2).replace("-", "−")}</b>`, textposition: "bottom center", yanchor: "top", font: {size: 11, color: ink}}
  return (x) => [
    bar(x, 0, Math.min(end, whole), approximation),
    ...(end > whole ? [bar(x, whole, end, amortization)] : []),
    {...bar(x, end, end, "rgba(0,0,0,0)", label), line: {width: 2, color: ink}},
  ]
}

function shapesAt(film, step) {
  const {paths, centres, elbo, colour} = film
  const finite = centres.slice(0, step + 1).filter((centre) => !centre.includes(null))
  const contours = !finite.length ? [] : [
    {type: "path", path: line(finite), line: {color: colour, width: 1.5, dash: "dot"}},
    ...(paths[step] ? [{type: "path", path: paths[step], line: {color: colour, width: 3}}] : []),
    dot(finite.at(-1), colour),
  ]
  const done = elbo.slice(0, step + 1).map((e, k) => [k, e]).filter(([, e]) => e !== null)
  const bound = done.length ? [{type: "path", path: line(done), line: {color: colour, width: 3}}, dot(done.at(-1), colour)] : []
  return {contours: () => contours, bound: () => bound, gaps: stack(film, step)}
}

export function render({model, el}) {
  const bar = element("div", el, {class: "box film", role: "group", "aria-label": "SVI player"})
  let film = null
  let shapes = null // of this step
  const drawn = new Map() // view -> its shapes as they were drawn; a view that was drawn anew has lost them

  const say = (step = player.step()) => {
    const words = player.readout
    bar.classList.toggle("busy", model.busy)
    if (!film) { words.textContent = model.busy ? "computing…" : ""; return }
    const elbo = film.elbo[step]
    const at = `${step} of ${player.last()}`
    const below = elbo === null ? "" : `, ${(film.log_px - elbo).toFixed(2)} below log p(x)`
    words.textContent = elbo === null ? `${at}: SVI has diverged, its ELBO is not a number` : `${at}: ELBO ${elbo.toFixed(2).replace("-", "−")} nats${below}`
    bar.dataset.elbo = elbo ?? ""
  }
  const draw = () => {
    for (const [key, view] of Object.entries(VIEWS)) {
      const plot = window.gpvaePlots?.[view]
      if (!shapes || !plot?._fullLayout || (drawn.has(view) && drawn.get(view) === plot.layout.shapes)) continue
      const place = key === "gaps" ? plot.layout.meta?.svi ?? null : 0
      window.Plotly.relayout(plot, {shapes: place === null ? [] : shapes[key](place)})
      drawn.set(view, plot.layout.shapes)
    }
  }
  const show = (step) => {
    shapes = film && shapesAt(film, step)
    drawn.clear()
    say(step)
    draw()
  }
  const names = {what: "Step", unit: "step", back: "Back to q(z|x) of the encoder", speed: 4}
  const player = transport(bar, names, {show, idle: draw})
  const load = () => {
    film = model.frames ? JSON.parse(model.frames) : null
    player.load(film ? film.elbo.length - 1 : 0, model.stays)
  }
  model.on("remove", player.end)
  model.on("frames", load)
  model.on("busy", () => say())
  shade(model, bar)
  load()
}
