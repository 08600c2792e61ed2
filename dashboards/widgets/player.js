// Plays a film over the figures of cards. All frames are here already; a frame redraws shapes alone, and nothing goes to
// the server while it plays.

function line(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x},${y}`).join("")
}

function dot([x, y], colour, radius) {
  return {
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -radius, x1: radius, y0: -radius, y1: radius,
    fillcolor: colour, line: {width: 1, color: "#ffffff"},
  }
}

// The shapes at a step of each kind of part; `meta` is that of the figure's layout.
const KINDS = {
  paths: (part, step) => (part.paths[step] ? [{type: "path", path: part.paths[step], line: part.line}] : []),
  trail: (part, step) => {
    const so_far = part.trail.slice(0, step + 1).filter((place) => place !== null)
    return so_far.length ? [{type: "path", path: line(so_far), line: part.line}] : []
  },
  dots: (part, step) => (part.dots[step] ?? []).map((place) => dot(place, part.colour, part.radius)),
  shapes: (part, step, meta) => {
    const at = meta?.[part.at] ?? null
    return at === null ? [] : part.shapes[step].map((shape) => ({...shape, x0: at + shape.x0, x1: at + shape.x1}))
  },
}

function shapesOf(parts, step, meta) {
  return parts.flatMap((part) => Object.entries(KINDS).flatMap(([kind, at]) => (kind in part ? at(part, step, meta) : [])))
}

export function render({model, el}) {
  const bar = element("div", el, {class: "box film", role: "group", "aria-label": model.label})
  let film = null
  const drawn = new Map() // view -> its shapes as they were drawn; a view that was drawn anew has lost them

  const say = (step = player.step()) => {
    bar.classList.toggle("busy", model.busy)
    player.readout.textContent = film?.words[step] ?? (model.busy ? "computing…" : "")
    bar.dataset.reading = film?.readings[step] ?? ""
  }
  const draw = () => {
    for (const [view, parts] of Object.entries(film?.views ?? {})) {
      const plot = window.gpvaePlots?.[view]
      if (!plot?._fullLayout || (drawn.has(view) && drawn.get(view) === plot.layout.shapes)) continue
      window.Plotly.relayout(plot, {shapes: shapesOf(parts, player.step(), plot.layout.meta)})
      drawn.set(view, plot.layout.shapes)
    }
  }
  const show = (step) => {
    drawn.clear()
    say(step)
    draw()
  }
  const names = {what: "Step", unit: "step", back: model.back, speed: 4}
  const player = transport(bar, names, {show, idle: draw})
  const load = () => {
    const ended = model.from_end && player.step() === player.last()
    film = model.frames ? JSON.parse(model.frames) : null
    player.load(film ? film.words.length - 1 : 0, model.stays, ended)
  }
  model.on("remove", player.end)
  model.on("frames", load)
  model.on("busy", () => say())
  shade(model, bar)
  load()
}
