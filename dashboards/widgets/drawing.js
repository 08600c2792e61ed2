// A pad to draw on: strokes on a fine canvas, averaged down to the grid of the data set's pixels.
const SIDE = 168
const PEN = 1.3 // its width, in pixels of the data set

function averaged(fine, rows, columns) {
  const {data} = fine.getContext("2d").getImageData(0, 0, SIDE, SIDE)
  const sums = new Float64Array(rows * columns)
  const counts = new Float64Array(rows * columns)
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const cell = Math.floor((y * rows) / SIDE) * columns + Math.floor((x * columns) / SIDE)
      sums[cell] += data[4 * (y * SIDE + x)]
      counts[cell] += 1
    }
  }
  return Array.from(sums, (sum, k) => Math.round(sum / counts[k]))
}

function preview(canvas, levels, columns) {
  const image = new ImageData(columns, levels.length / columns)
  levels.forEach((level, k) => image.data.set([level, level, level, 255], 4 * k))
  canvas.getContext("2d").putImageData(image, 0, 0)
}

function makeCanvas(parent, width, height, label) {
  const canvas = element("canvas", parent, {width, height, role: "img", "aria-label": label})
  canvas.style.width = canvas.style.height = `${SIDE}px`
  return canvas
}

export function render({model, el}) {
  const pad = element("div", el, {class: "pad"})
  const fine = makeCanvas(pad, SIDE, SIDE, "Drawing area: draw with the mouse, a pen or a finger")
  const grid = makeCanvas(pad, model.columns, model.rows, "")
  grid.className = "grid"
  const side = element("div", pad, {class: "side"})
  const hint = element("p", side, {class: "hint"})
  button(side, "Clear", () => wipe())
  const pen = fine.getContext("2d", {willReadFrequently: true})
  const wipe = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, SIDE, SIDE); refresh() }
  const refresh = () => {
    grid.width = model.columns
    grid.height = model.rows
    const size = `${model.rows} x ${model.columns} pixels`
    grid.setAttribute("aria-label", `The drawing on a grid of ${size}`)
    hint.textContent = `Draw on the left; the right shows the ${size} that the model gets. All views follow when the pen is lifted.`
    const levels = averaged(fine, model.rows, model.columns)
    preview(grid, levels, model.columns)
    return levels
  }
  let last = null
  const place = (event) => {
    const box = fine.getBoundingClientRect()
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height]
  }
  const stroke = (to) => {
    pen.strokeStyle = "#fff"
    pen.lineWidth = (PEN * SIDE) / Math.max(model.rows, model.columns)
    pen.lineCap = pen.lineJoin = "round"
    pen.beginPath()
    pen.moveTo(...last)
    pen.lineTo(to[0] + 0.01, to[1])
    pen.stroke()
    last = to
  }
  fine.addEventListener("pointerdown", (event) => { fine.setPointerCapture(event.pointerId); last = place(event); stroke(last); refresh() })
  fine.addEventListener("pointermove", (event) => { if (last) { stroke(place(event)); refresh() } })
  const finish = () => { if (last) { last = null; model.send_msg({levels: refresh()}) } }
  fine.addEventListener("pointerup", finish)
  fine.addEventListener("pointercancel", finish)
  model.on("rows", wipe)
  model.on("columns", wipe)
  shade(model, pad)
  wipe()
}
