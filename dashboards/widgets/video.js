// Plays a series of frames: the image of each track at an instant, and a mark of that instant in figures. All images
// are here already, below one another in one strip for each track, and nothing goes to the server while it plays.

function mark([x, y], colour) {
  return {
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y, x0: -6, x1: 6, y0: -6, y1: 6,
    fillcolor: colour, line: {width: 1.5, color: "#ffffff"},
  }
}

function shapesAt(film, step) {
  const at = film.at[step]
  const line = {type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: {color: film.ink, width: 1.2, dash: "dot"}}
  const places = film.marks.filter(({places}) => places[step]).map(({places, colour}) => mark(places[step], colour))
  return {[film.views.time]: [line], [film.views.plane]: places}
}

export function render({model, el}) {
  const box = element("section", el, {class: "box video", "aria-label": "Frames"})
  const head = element("div", box, {class: "head"})
  element("h2", head, {}, "Frames")
  const sub = element("span", head, {class: "sub"})
  const bar = element("div", box, {class: "bar", role: "group", "aria-label": "Player of the frames"})
  const images = element("div", box, {class: "images"})
  const sentence = element("p", box, {class: "sentence"})
  let film = null
  let tracks = []
  let shapes = {}
  const drawn = new Map() // view -> its shapes as they were drawn; a view that was drawn anew has lost them

  const paint = (step) => {
    for (const {track, canvas, strip, figure} of tracks) {
      const tile = track.tiles[step]
      const {width, height} = track
      figure.classList.toggle("hidden", track.hides && !film.given[step])
      canvas.classList.toggle("none", tile === null)
      if (tile !== null && strip.complete) canvas.getContext("2d").drawImage(strip, 0, tile * height, width, height, 0, 0, width, height)
    }
  }
  const draw = () => {
    for (const [view, own] of Object.entries(shapes)) {
      const plot = window.gpvaePlots?.[view]
      if (!plot?._fullLayout || !plot.offsetParent || (drawn.has(view) && drawn.get(view) === plot.layout.shapes)) continue
      window.Plotly.relayout(plot, {shapes: own})
      drawn.set(view, plot.layout.shapes)
    }
  }
  const show = (step) => {
    if (!film) { player.readout.textContent = ""; return }
    shapes = shapesAt(film, step)
    drawn.clear()
    paint(step)
    player.readout.textContent = film.words[step]
    draw()
  }
  const words = {class: "readout", role: "status", "aria-live": "off"}
  const player = transport(bar, {what: "Instant", unit: "instant", back: "Back to the first frame", speed: 8, words}, {show, idle: draw})
  box.insertBefore(player.readout, images)
  const tell = () => box.classList.toggle("busy", model.busy)
  const load = () => {
    film = model.film ? JSON.parse(model.film) : null
    sub.textContent = film?.title ?? ""
    sentence.textContent = film?.sentence ?? ""
    images.replaceChildren()
    tracks = (film?.tracks ?? []).map((track) => {
      const figure = element("figure", images, track.title ? {title: track.title} : {})
      const caption = element("figcaption", figure)
      if (track.colour) element("span", caption, {style: `background: ${track.colour}`})
      caption.append(track.label)
      const canvas = element("canvas", figure, {width: track.width, height: track.height, role: "img", "aria-label": track.label})
      const strip = new Image()
      strip.onload = () => paint(player.step())
      strip.src = track.strip
      return {track, canvas, strip, figure}
    })
    player.load(film ? film.at.length - 1 : 0, model.stays)
  }
  model.on("remove", player.end)
  model.on("film", load)
  model.on("busy", tell)
  shade(model, box)
  tell()
  load()
}
