// A figure with its heading, sentence, controls and export menu. The figure comes as JSON in `model.figure`;
// everything else, and the order to draw, in `model.content`, so that one click costs one message and one drawing.

const STYLE_ID = "plotly.js-style-global"

// plotly.js puts its style sheet into the page's head, which does not reach into this component's shadow root.
function adoptPlotlyStyle(root) {
  const rules = [...document.getElementById(STYLE_ID).sheet.cssRules].map((rule) => rule.cssText)
  element("style", root, {}, rules.join("\n"))
}

// A button that opens a menu with what the view can be saved as. The browser closes a popover by the Escape key or a
// click elsewhere.
function exportMenu(tools, model, plot, report) {
  const opener = button(tools, "Save", null, {class: "export", "aria-haspopup": "menu", "aria-expanded": false, "aria-label": `Save ${model.title}`})
  const menu = element("div", tools, {class: "menu", role: "menu", popover: "auto", "aria-label": `Save ${model.title} as`})
  opener.popoverTargetElement = menu
  const items = model.kinds.map((kind) => button(menu, kind, () => { menu.hidePopover(); saveAs(kind, model, plot, report) }, {
    role: "menuitem", tabindex: -1, title: `Save this view as ${kind}`,
  }))
  menu.onbeforetoggle = ({newState}) => { if (newState === "closed" && menu.contains(menu.getRootNode().activeElement)) opener.focus() }
  menu.ontoggle = ({newState}) => {
    opener.setAttribute("aria-expanded", newState === "open")
    if (newState === "closed") return
    const box = opener.getBoundingClientRect()
    const below = box.bottom + 2
    menu.style.top = `${below + menu.offsetHeight < window.innerHeight ? below : box.top - menu.offsetHeight - 2}px`
    menu.style.left = `${box.right - menu.offsetWidth}px`
    items[0].focus()
  }
  menu.onkeydown = (event) => {
    if (event.key === "Escape") event.stopPropagation()
    if (event.key === "Tab") menu.hidePopover()
    const by = {ArrowDown: 1, ArrowUp: -1}[event.key]
    if (!by) return
    event.preventDefault()
    items.at((items.indexOf(event.target) + by) % items.length).focus()
  }
}

function drawSelect(holder, model, {name, label, options, value}) {
  const select = element("select", element("label", holder, {}, label), {name})
  for (const [key, text] of options) select.add(new Option(text, key, false, key === value))
  select.onchange = () => model.send_msg({select: [name, select.value]})
}

function drawCommand(holder, command, said) {
  const line = element("p", holder, {class: "command"})
  element("code", line, {}, command)
  const label = `Copy the command: ${command}`
  const made = button(line, "Copy", () => copy(made, command, said), {title: label, "aria-label": label})
}

function pickOf(event) {
  const point = event.points[0]
  const picked = point.customdata ?? point.data.meta
  return Number.isInteger(picked) ? picked : null
}

// Shows the picture of the point that the pointer or the keys are at, which the server sends once.
function makePictures(plot, thumb, model) {
  const pictures = new Map()
  let current = null
  const show = () => {
    thumb.hidden = !pictures.has(current)
    if (!thumb.hidden) thumb.src = pictures.get(current)
  }
  model.on("content", () => {
    if (pictures.owner !== model.content.pictures) { pictures.clear(); pictures.owner = model.content.pictures }
  })
  model.on("msg:custom", ({hover, source}) => { if (hover !== undefined) { pictures.set(hover, source); show() } })
  return (picked, x, y) => {
    current = model.content.hovers ? picked : null
    thumb.style.left = `${x > plot.offsetWidth / 2 ? x - 110 : x + 26}px`
    thumb.style.top = `${Math.min(Math.max(y - 92, 0), plot.offsetHeight - 88)}px`
    if (current === null || pictures.has(current)) show()
    else model.send_msg({hover: current})
  }
}

const REST_MS = 40 // for which the pointer rests on a point that is likely picked next

// Shows the picture of the point that the pointer or the keys are at, and has the server prepare for its being picked.
function makePoint(plot, thumb, model) {
  const showPicture = makePictures(plot, thumb, model)
  let resting
  return (picked, x, y) => {
    showPicture(picked, x, y)
    clearTimeout(resting)
    if (picked === null || !model.content.picks || picked === model.content.chosen) return
    resting = setTimeout(() => model.send_msg({expect: picked}), REST_MS)
  }
}

function followPointer(plot, model, point) {
  plot.on("plotly_click", (event) => {
    const picked = pickOf(event)
    if (model.content.picks && picked !== null) model.send_msg({pick: picked})
  })
  plot.on("plotly_hover", (event) => {
    const box = plot.getBoundingClientRect()
    const scale = box.width / plot.offsetWidth
    point(pickOf(event), (event.event.clientX - box.left) / scale, (event.event.clientY - box.top) / scale)
  })
  plot.on("plotly_unhover", () => point(null))
}

const WAYS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}
const HOW = "Arrow keys go to the nearest in that direction, Enter picks it."

// What a click can pick: each point whose customdata is its index, or each panel, whose traces have the index as meta.
function pickable(plot) {
  const spots = []
  for (const {visible, x, y, customdata, meta, hovertemplate = "", ...trace} of plot._fullData) {
    const [across, down] = [trace.xaxis, trace.yaxis].map((id) => plot._fullLayout[id.replace(/^./, "$&axis")])
    const add = (picked, left, top, words) => {
      const inside = left >= 0 && top >= 0 && left <= across._length && top <= down._length
      if (visible === true && Number.isInteger(picked) && inside) spots.push({picked, x: across._offset + left, y: down._offset + top, words})
    }
    if (Number.isInteger(meta)) add(meta, across._length / 2, down._length / 2, `image ${meta}`)
    else Array.from(customdata ?? [], (picked, k) => {
      const words = hovertemplate.replace("%{customdata}", picked).replace(/^%\{text\}/, trace.text?.[k]).replace(/[,:][^,:]*%\{.*|<.*/, "")
      add(picked, across.d2p(x[k]), down.d2p(y[k]), words)
    })
  }
  return spots
}

function nearest(spots, from, [right, below]) {
  const cost = ({x, y}) => {
    const ahead = (x - from.x) * right + (y - from.y) * below
    return ahead < 1 ? Infinity : ahead + 2 * Math.abs((x - from.x) * below + (y - from.y) * right)
  }
  const best = spots.reduce((least, spot) => (cost(spot) < cost(least) ? spot : least), spots[0])
  return best && cost(best) < Infinity ? best : null
}

function makeCursor(plot, model) {
  return {
    field: element("div", plot, {class: "cursor", tabindex: 0, hidden: "", role: "application", "aria-label": `${model.title}: what can be picked. ${HOW}`}),
    ring: element("div", plot, {class: "ring", hidden: ""}),
    said: element("output", plot, {class: "reading"}),
  }
}

function followKeys(plot, {field, ring, said}, model, point) {
  let at = null
  const leave = () => { ring.hidden = true; said.textContent = ""; point(null) }
  field.onfocus = () => {
    at = pickable(plot).find(({picked}) => picked === model.content.chosen) ?? {x: plot.offsetWidth / 2, y: plot.offsetHeight / 2}
    said.textContent = HOW
  }
  field.onblur = leave
  field.onkeydown = (event) => {
    const way = WAYS[event.key]
    if (event.key === "Escape" && !ring.hidden) { leave(); event.stopPropagation() }
    if (event.key === "Enter" && Number.isInteger(at.picked)) model.send_msg({pick: at.picked})
    if (!way || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    event.stopPropagation() // the page would go to the next image
    at = nearest(pickable(plot), at, way) ?? at
    if (!at.words) return
    ring.hidden = false
    ring.style.left = `${at.x}px`
    ring.style.top = `${at.y}px`
    said.textContent = at.words
    point(at.picked, at.x, at.y)
  }
}

const LEAST = 0.8 // at which the signs of tick labels can just be seen: a wider figure is scrolled
const MOST = 1.25

// Scales the figure to the width of its card, in steps of a twentieth.
function fitted(stage, plot, model) {
  const fit = () => {
    const {width, height} = plot.layout ?? {}
    const room = stage.clientWidth
    if (!width || !room) return
    const scale = Math.min(MOST, Math.max(LEAST, Math.floor((20 * room) / width) / 20))
    plot.style.transform = scale === 1 ? "" : `scale(${scale})`
    plot.style.margin = `0 ${width * Math.min(0, scale - 1)}px ${height * (scale - 1)}px ${Math.max(0, room - width * scale) / 2}px`
    const scrolled = width * scale > room + 1
    stage.classList.toggle("scrolled", scrolled)
    if (scrolled && !model.content.picks) stage.tabIndex = 0
    else stage.removeAttribute("tabindex")
  }
  new ResizeObserver(fit).observe(stage)
  return fit
}

// What `gpvae_core.bench.browser` reads: when each view was last on the screen, and for which request.
function reportPainted(model) {
  const {view, content} = model
  requestAnimationFrame(() => {
    window.gpvaePainted = window.gpvaePainted ?? {}
    window.gpvaePainted[view] = {stamp: content.stamp, at: performance.now()}
  })
}

export function render({model, el}) {
  const card = element("section", el, {class: "box view", "data-view": model.view})
  const head = element("div", card, {class: "head"})
  element("h2", head, model.help ? {title: model.help} : {}, model.title)
  const sub = element("span", head, {class: "sub"})
  const tools = element("div", head, {class: "tools"})
  const selects = element("span", tools, {class: "tools"})
  const actions = element("span", tools, {class: "tools"})
  const message = element("div", card, {class: "message", role: "status"})
  const stage = element("div", card, {class: "stage"})
  const plot = element("div", stage, {class: "plot"})
  ;(window.gpvaePlots ??= {})[model.view] = plot // for whatever moves shapes on this view
  const sentence = element("p", card, {class: "sentence"})
  const commands = element("div", card)
  const said = element("span", card, {class: "said", role: "status"})
  const thumb = element("img", plot, {class: "thumb", alt: "", hidden: ""})
  const cursor = makeCursor(plot, model)
  const fit = fitted(stage, plot, model)
  exportMenu(tools, model, plot, (words) => { message.textContent = words })
  let drawn = null
  let painted = null // the request of the last painting: a mark of being busy moves nothing
  let busy = Promise.resolve()

  const paint = async () => {
    const {figure, content} = model
    if (figure && figure !== drawn) {
      const first = drawn === null
      drawn = figure
      const {data, layout} = JSON.parse(figure)
      plot.style.width = `${layout.width}px`
      plot.style.height = `${layout.height}px`
      const {width, height} = plot.layout ?? {}
      await window.Plotly.react(plot, data, {...layout, ...content.overlay}, {displayModeBar: false, scrollZoom: content.picks, responsive: false})
      if (layout.width !== width || layout.height !== height) fit() // to fit costs a layout of the page
      if (first) {
        const point = makePoint(plot, thumb, model)
        adoptPlotlyStyle(el)
        followPointer(plot, model, point)
        followKeys(plot, cursor, model, point)
        plot.append(thumb, ...Object.values(cursor))
      }
    } else if (figure && content.overlay && content.stamp !== painted) {
      await window.Plotly.relayout(plot, content.overlay)
    }
    cursor.field.hidden = !content.picks || drawn === null
    painted = content.stamp
    reportPainted(model)
  }
  const update = () => {
    const {content} = model
    card.classList.toggle("dark", content.dark)
    card.classList.toggle("busy", content.busy)
    card.setAttribute("aria-busy", content.busy)
    sub.textContent = sub.title = content.sub
    sentence.textContent = content.sentence
    message.textContent = content.message
    renew(commands, content.commands ?? [], (command) => drawCommand(commands, command, said))
    stage.hidden = !content.visible
    plot.setAttribute("role", content.picks ? "figure" : "img")
    plot.setAttribute("aria-label", content.alt)
    renew(selects, content.selects ?? [], (select) => drawSelect(selects, model, select))
    renew(actions, content.actions ?? [], ([key, text]) => button(actions, text, () => model.send_msg({action: key}), {class: "action"}))
    busy = busy.then(paint).catch((error) => { message.textContent = `This figure could not be drawn: ${error}` })
  }
  model.on("content", update)
  model.on("msg:custom", ({csv, file}) => { if (csv !== undefined) save(csv, file, "text/csv") })
  update()
}
