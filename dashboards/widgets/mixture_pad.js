// A plane on which Gaussians are placed: a click adds one, dragging moves it, and two sliders set its width and weight.
const SIDE = 240
const SPREADS = [0.1, 2]
const WEIGHTS = [0.1, 3]
const STEP = 0.1
const PATIENCE_MS = 3000

export function render({model, el}) {
  const pad = element("div", el, {class: "pad", role: "group", "aria-label": "Mixture of Gaussians"})
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  pad.append(svg)
  for (const [name, value] of Object.entries({width: SIDE, height: SIDE, tabindex: 0, role: "application"})) svg.setAttribute(name, value)
  svg.setAttribute("aria-label", "Plane: a click adds a Gaussian; by keys: N adds, Tab leaves, brackets choose, arrows move, plus and minus change the width, Delete removes")
  const side = element("div", pad, {class: "side"})
  element("p", side, {class: "hint"}, "Click to add a Gaussian, drag to move it. All views follow.")
  const said = element("output", side, {role: "status"})
  const slider = (text, [min, max]) => element("input", element("label", side, {}, text), {type: "range", min, max, step: 0.05, "aria-label": text})
  const spread = slider("Standard deviation", SPREADS)
  const weight = slider("Weight", WEIGHTS)
  const tools = element("div", side, {class: "tools"})
  const add = button(tools, "Add", () => insert(0, 0))
  const remove = button(tools, "Remove", () => drop())

  let bumps = []
  let chosen = 0
  let dragging = false
  let timer = null

  const reach = () => model.reach
  const clip = (value) => Math.max(-reach(), Math.min(reach(), Math.round(value * 100) / 100))
  const toPixel = (value, flip) => ((flip ? -value : value) / reach() + 1) * (SIDE / 2)
  const place = (event) => {
    const box = svg.getBoundingClientRect()
    return [clip((((event.clientX - box.left) / box.width) * 2 - 1) * reach()), clip((1 - ((event.clientY - box.top) / box.height) * 2) * reach())]
  }
  const made = (name, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name)
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value)
    svg.append(part)
  }
  const draw = () => {
    svg.replaceChildren()
    for (const at of [-reach() / 2, 0, reach() / 2]) {
      const pixel = toPixel(at)
      made("line", {x1: pixel, x2: pixel, y1: 0, y2: SIDE, class: at ? "grid" : "axis"})
      made("line", {y1: pixel, y2: pixel, x1: 0, x2: SIDE, class: at ? "grid" : "axis"})
    }
    const most = Math.max(...bumps.map((bump) => bump.w))
    bumps.forEach((bump, k) => {
      const centre = {cx: toPixel(bump.x), cy: toPixel(bump.y, true)}
      made("circle", {...centre, r: (bump.sd / reach()) * (SIDE / 2), class: k === chosen ? "bump chosen" : "bump", "fill-opacity": 0.15 + 0.45 * (bump.w / most)})
      made("circle", {...centre, r: 3, class: "centre"})
    })
    const bump = bumps[chosen]
    spread.value = bump.sd
    weight.value = bump.w
    add.disabled = bumps.length >= model.most
    remove.disabled = bumps.length < 2
    said.textContent = `${chosen + 1} of ${bumps.length}: mean ${bump.x}, ${bump.y}; sd ${bump.sd}; weight ${bump.w}`
  }
  // What the server has not answered yet: an answer to an earlier change must not undo a later one.
  let awaited = null
  let sent = 0
  const written = () => bumps.map(({x, y, sd, w}) => [x, y, sd, w].join(":")).join(" ")
  const send = () => {
    awaited = written()
    sent = performance.now()
    clearTimeout(timer)
    timer = setTimeout(() => model.send_msg({components: awaited}), 120)
  }
  const change = (changes) => { bumps[chosen] = {...bumps[chosen], ...changes}; draw(); send() }
  const insert = (x, y) => {
    if (bumps.length >= model.most) return
    bumps.push({x, y, sd: 0.6, w: 1})
    chosen = bumps.length - 1
    change({})
  }
  const drop = () => {
    if (bumps.length < 2) return
    bumps.splice(chosen, 1)
    chosen = Math.min(chosen, bumps.length - 1)
    change({})
  }
  const follow = () => {
    if (awaited !== null && awaited !== model.components && performance.now() - sent < PATIENCE_MS) return
    load()
  }
  const load = () => {
    clearTimeout(timer)
    awaited = null
    bumps = model.components.split(" ").filter(Boolean).map((part) => {
      const [x, y, sd, w] = part.split(":").map(Number)
      return {x, y, sd, w}
    })
    if (!bumps.length) bumps = [{x: 0, y: 0, sd: 1, w: 1}]
    chosen = Math.min(chosen, bumps.length - 1)
    draw()
  }
  svg.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event)
    const near = bumps.map((bump) => Math.hypot(bump.x - x, bump.y - y))
    const nearest = near.indexOf(Math.min(...near))
    svg.setPointerCapture(event.pointerId)
    dragging = true
    if (near[nearest] < Math.max(0.3, 0.7 * bumps[nearest].sd)) { chosen = nearest; draw() } else insert(x, y)
  })
  svg.addEventListener("pointermove", (event) => {
    if (!dragging || !event.buttons) return
    const [x, y] = place(event)
    change({x, y})
  })
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => { dragging = false })
  svg.addEventListener("keydown", (event) => {
    const bump = bumps[chosen]
    const wider = (by) => change({sd: Math.max(SPREADS[0], Math.min(SPREADS[1], Math.round((bump.sd + by) * 100) / 100))})
    const moves = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP]}
    const keys = {
      n: () => insert(0, 0), Delete: drop, Backspace: drop, "+": () => wider(STEP), "-": () => wider(-STEP),
      "]": () => { chosen = (chosen + 1) % bumps.length; draw() }, "[": () => { chosen = (chosen + bumps.length - 1) % bumps.length; draw() },
    }
    if (moves[event.key]) change({x: clip(bump.x + moves[event.key][0]), y: clip(bump.y + moves[event.key][1])})
    else if (keys[event.key]) keys[event.key]()
    else return
    event.preventDefault()
    event.stopPropagation()
  })
  spread.oninput = () => change({sd: Number(spread.value)})
  weight.oninput = () => change({w: Number(weight.value)})
  model.on("components", follow)
  model.on("msg:custom", load)
  shade(model, pad)
  load()
}
