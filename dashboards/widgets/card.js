// A figure with its heading, sentence, controls and export buttons. The figure comes as JSON in `model.figure`;
// everything else, and the order to draw, in `model.content`, so that one click costs one message and one drawing.

const STYLE_ID = "plotly.js-style-global"

function element(tag, className, parent) {
  const made = document.createElement(tag)
  made.className = className
  parent.append(made)
  return made
}

// plotly.js puts its style sheet into the page's head, which does not reach into this component's shadow root.
function adoptPlotlyStyle(root) {
  const rules = [...document.getElementById(STYLE_ID).sheet.cssRules].map((rule) => rule.cssText)
  element("style", "", root).textContent = rules.join("\n")
}

function save(text, name, type) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type}))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}

function exportButtons(tools, model, plot) {
  const asImage = (format) => () => {
    const {width, height} = plot.layout ?? {}
    if (width) window.Plotly.downloadImage(plot, {format, width, height, scale: format === "png" ? 3 : 1, filename: model.content.file})
  }
  const actions = {PNG: asImage("png"), SVG: asImage("svg"), CSV: () => model.send_msg({csv: true})}
  for (const kind of model.kinds) {
    const button = element("button", "export", tools)
    button.type = "button"
    button.textContent = kind
    button.title = `Save this view as ${kind}`
    button.setAttribute("aria-label", `Save ${model.title} as ${kind}`)
    button.onclick = actions[kind]
  }
}

function drawSelects(holder, model) {
  const wanted = model.content.selects ?? []
  const now = JSON.stringify(wanted)
  if (holder.dataset.now === now) return
  holder.dataset.now = now
  holder.replaceChildren()
  for (const {name, label, options, value} of wanted) {
    const tag = element("label", "", holder)
    tag.append(label)
    const select = element("select", "", tag)
    select.name = name
    for (const [key, text] of options) select.add(new Option(text, key, false, key === value))
    select.onchange = () => model.send_msg({select: name, value: select.value})
  }
}

function drawActions(holder, model) {
  const wanted = model.content.actions ?? []
  const now = JSON.stringify(wanted)
  if (holder.dataset.now === now) return
  holder.dataset.now = now
  holder.replaceChildren()
  for (const [key, text] of wanted) {
    const button = element("button", "action", holder)
    button.type = "button"
    button.textContent = text
    button.onclick = () => model.send_msg({action: key})
  }
}

function pickOf(event) {
  const point = event.points[0]
  const picked = point.customdata ?? point.data.meta
  return Number.isInteger(picked) ? picked : null
}

function follow(plot, thumb, model) {
  const seen = new Map()
  let current = null
  const show = () => {
    thumb.hidden = !seen.has(current)
    if (!thumb.hidden) thumb.src = seen.get(current)
  }
  plot.on("plotly_click", (event) => {
    const picked = pickOf(event)
    if (model.content.picks && picked !== null) model.send_msg({pick: picked})
  })
  plot.on("plotly_hover", (event) => {
    current = pickOf(event)
    if (!model.content.hovers || current === null) return
    const box = plot.getBoundingClientRect()
    const [x, y] = [event.event.clientX - box.left, event.event.clientY - box.top]
    thumb.style.left = `${x > box.width / 2 ? x - 110 : x + 26}px`
    thumb.style.top = `${Math.min(Math.max(y - 92, 0), box.height - 88)}px`
    if (seen.has(current)) show()
    else model.send_msg({hover: current})
  })
  plot.on("plotly_unhover", () => { current = null; show() })
  model.on("content", () => { if (seen.owner !== model.content.pictures) { seen.clear(); seen.owner = model.content.pictures } })
  return (index, source) => { seen.set(index, source); show() }
}

// What `dashboards.timing` reads: when each view was last on the screen, and for which request.
function reportPainted(model) {
  const {view, content} = model
  requestAnimationFrame(() => {
    window.gpvaePainted = window.gpvaePainted ?? {}
    window.gpvaePainted[view] = {stamp: content.stamp, at: performance.now()}
  })
}

export function render({model, el}) {
  const card = element("section", "view", el)
  card.dataset.view = model.view
  const head = element("div", "head", card)
  const title = element("h2", "", head)
  title.textContent = model.title
  const sub = element("span", "sub", head)
  const tools = element("div", "tools", head)
  const selects = element("span", "tools", tools)
  const actions = element("span", "tools", tools)
  const message = element("div", "message", card)
  message.setAttribute("role", "status")
  const plot = element("div", "plot", card)
  ;(window.gpvaePlots ??= {})[model.view] = plot // for whatever moves shapes on this view
  const sentence = element("p", "sentence", card)
  const thumb = element("img", "thumb", plot)
  thumb.alt = ""
  thumb.hidden = true
  exportButtons(tools, model, plot)
  let drawn = null
  let shown = null
  let busy = Promise.resolve()

  const paint = async () => {
    const {figure, content} = model
    if (figure && figure !== drawn) {
      const first = drawn === null
      drawn = figure
      const {data, layout} = JSON.parse(figure)
      plot.style.width = `${layout.width}px`
      plot.style.height = `${layout.height}px`
      await window.Plotly.react(plot, data, {...layout, ...content.overlay}, {displayModeBar: false, scrollZoom: content.picks, responsive: false})
      if (first) { adoptPlotlyStyle(el); shown = follow(plot, thumb, model); plot.append(thumb) }
    } else if (figure && content.overlay) {
      await window.Plotly.relayout(plot, content.overlay)
    }
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
    plot.hidden = !content.visible
    plot.setAttribute("role", content.picks ? "figure" : "img")
    plot.setAttribute("aria-label", content.alt)
    drawSelects(selects, model)
    drawActions(actions, model)
    busy = busy.then(paint).catch((error) => { message.textContent = `This figure could not be drawn: ${error}` })
  }
  model.on("content", update)
  model.on("msg:custom", (data) => {
    if (data.csv !== undefined) save(data.csv, data.file, "text/csv")
    if (data.hover !== undefined && shown) shown(data.hover, data.source)
  })
  update()
}
