// A figure with its heading, sentence, controls and export buttons. The figure comes as JSON in `model.figure`;
// everything else, and the order to draw, in `model.content`, so that one click costs one message and one drawing.

const STYLE_ID = "plotly.js-style-global"

// plotly.js puts its style sheet into the page's head, which does not reach into this component's shadow root.
function adoptPlotlyStyle(root) {
  const rules = [...document.getElementById(STYLE_ID).sheet.cssRules].map((rule) => rule.cssText)
  element("style", root, {}, rules.join("\n"))
}

function exportButtons(tools, model, plot, report) {
  const tables = model.kinds.filter((kind) => kind.includes(": "))
  for (const kind of model.kinds) {
    if (tables.includes(kind)) continue
    button(tools, kind, () => saveAs(kind, model, plot, report), {class: "export", title: `Save this view as ${kind}`, "aria-label": `Save ${model.title} as ${kind}`})
  }
  if (!tables.length) return
  const select = element("select", tools, {class: "export", title: "Save a table of this view as CSV", "aria-label": `Save a table of ${model.title}`})
  for (const kind of ["CSV", ...tables]) select.add(new Option(kind, kind))
  select.onchange = () => { saveAs(select.value, model, plot, report); select.value = "CSV" }
}

function drawSelect(holder, model, {name, label, options, value}) {
  const select = element("select", element("label", holder, {}, label), {name})
  for (const [key, text] of options) select.add(new Option(text, key, false, key === value))
  select.onchange = () => model.send_msg({select: [name, select.value]})
}

function pickOf(event) {
  const point = event.points[0]
  const picked = point.customdata ?? point.data.meta
  return Number.isInteger(picked) ? picked : null
}

function follow(plot, thumb, model) {
  const pictures = new Map() // of the instances that the pointer was over
  let current = null
  const show = () => {
    thumb.hidden = !pictures.has(current)
    if (!thumb.hidden) thumb.src = pictures.get(current)
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
    if (pictures.has(current)) show()
    else model.send_msg({hover: current})
  })
  plot.on("plotly_unhover", () => { current = null; show() })
  model.on("content", () => {
    if (pictures.owner !== model.content.pictures) { pictures.clear(); pictures.owner = model.content.pictures }
  })
  model.on("msg:custom", ({hover, source}) => { if (hover !== undefined) { pictures.set(hover, source); show() } })
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
  const card = element("section", el, {class: `box view ${model.looks}`, "data-view": model.view})
  const head = element("div", card, {class: "head"})
  element("h2", head, model.help ? {title: model.help} : {}, model.title)
  const sub = element("span", head, {class: "sub"})
  const tools = element("div", head, {class: "tools"})
  const selects = element("span", tools, {class: "tools"})
  const actions = element("span", tools, {class: "tools"})
  const message = element("div", card, {class: "message", role: "status"})
  const plot = element("div", card, {class: "plot"})
  ;(window.gpvaePlots ??= {})[model.view] = plot // for whatever moves shapes on this view
  const sentence = element("p", card, {class: "sentence"})
  const thumb = element("img", plot, {class: "thumb", alt: "", hidden: ""})
  exportButtons(tools, model, plot, (words) => { message.textContent = words })
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
      await window.Plotly.react(plot, data, {...layout, ...content.overlay}, {displayModeBar: false, scrollZoom: content.picks, responsive: false})
      if (first) { adoptPlotlyStyle(el); follow(plot, thumb, model); plot.append(thumb) }
    } else if (figure && content.overlay && content.stamp !== painted) {
      await window.Plotly.relayout(plot, content.overlay)
    }
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
    plot.hidden = !content.visible
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
