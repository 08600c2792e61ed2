// A table that sorts by its headings, with downloads and, in each row, a command to copy. Columns and rows come as data;
// the order of sorting stays in the browser, so that rows that arrive later fall into it.

function copyButton(parent, command, said) {
  const label = `Copy the command: ${command}`
  const made = button(parent, "Copy", () => copy(command, made, said), {class: "copy", title: label, "aria-label": label})
}

async function copy(text, made, said) {
  const before = made.textContent
  try {
    await navigator.clipboard.writeText(text)
    made.textContent = "Copied"
    said.textContent = "Copied"
  } catch {
    made.textContent = "Not allowed"
    said.textContent = `The browser does not allow copying: ${text}`
  }
  setTimeout(() => { made.textContent = before }, 1500)
}

// What is not known comes last in either direction.
function compare(a, b, way) {
  if (a === null || b === null) return (a === null) - (b === null)
  return way * (typeof a === "string" ? a.localeCompare(b, undefined, {numeric: true}) : a - b)
}

function sorted(rows, columns, order) {
  const k = columns.findIndex((column) => column.key === order.key)
  return k < 0 ? rows : [...rows].sort((a, b) => compare(a.cells[k].sort, b.cells[k].sort, order.way))
}

// First click: the largest first for numbers, A to Z for words; then the other way; then the table's own order.
function next(order, column) {
  const first = column.numeric ? -1 : 1
  if (order.key !== column.key) return {key: column.key, way: first}
  return order.way === first ? {key: column.key, way: -first} : {key: "", way: 1}
}

function drawHead(head, columns, order, choose) {
  head.replaceChildren()
  for (const column of columns) {
    const way = order.key === column.key ? order.way : 0
    const sort = way === 0 ? "none" : way > 0 ? "ascending" : "descending"
    const cell = element("th", head, {class: column.numeric ? "number" : "", scope: "col", "aria-sort": sort})
    const label = `Sort by ${column.title}. ${column.hint}`
    const made = button(cell, column.title, () => choose(column), {class: "sort", title: label, "aria-label": label})
    element("span", made, {class: "way", "aria-hidden": "true"}, way === 0 ? "" : way > 0 ? " ▲" : " ▼")
  }
}

function drawRow(body, row, columns, fresh, said) {
  const line = element("tr", body, {class: fresh ? "fresh" : "", "data-id": row.id})
  row.cells.forEach((cell, k) => {
    const look = `${columns[k].numeric ? "number" : ""} ${cell.mark}`
    const made = element(k === 0 ? "th" : "td", line, {class: look, "data-key": columns[k].key}, cell.text)
    if (k === 0) made.scope = "row"
    if (cell.title) made.title = cell.title
    if (columns[k].key === "command" && row.command) copyButton(made, row.command, said)
  })
  return line
}

export function render({model, el}) {
  const section = element("section", el, {class: "box results"})
  const head = element("div", section, {class: "head"})
  const title = element("h2", head)
  const sub = element("span", head, {class: "sub"})
  const tools = element("div", head, {class: "tools"})
  const said = element("span", section, {class: "said", role: "status"})
  for (const kind of model.kinds) {
    const label = `Save the rows shown as ${kind}`
    button(tools, kind, () => model.send_msg({save: kind}), {class: "export", title: label, "aria-label": label})
  }
  const calls = element("div", section, {class: "calls"})
  const holder = element("div", section, {class: "holder", tabindex: 0, role: "region"})
  const table = element("table", holder)
  const top = element("tr", element("thead", table))
  const body = element("tbody", table)
  const key = element("p", section, {class: "key"})
  let order = {key: "", way: 1}
  let before = new Map()
  let scope = null

  const draw = () => {
    const {columns, rows} = model.content
    const focus = el.getRootNode().activeElement ?? document.activeElement
    const within = body.contains(focus) ? focus.closest("tr").dataset.id : null
    const heading = top.contains(focus) ? [...top.children].indexOf(focus.closest("th")) : -1
    drawHead(top, columns, order, (column) => { order = next(order, column); draw() })
    if (heading >= 0) top.children[heading]?.firstChild.focus()
    const now = new Map(rows.map((row) => [row.id, JSON.stringify(row.cells)]))
    const same = scope === model.content.scope
    body.replaceChildren()
    let above = null
    for (const row of sorted(rows, columns, order)) {
      const fresh = same && before.has(row.id) && before.get(row.id) !== now.get(row.id)
      const line = drawRow(body, row, columns, fresh, said)
      line.classList.toggle("group", order.key === "" && above !== null && above !== row.group)
      above = row.group
    }
    if (within) [...body.children].find((line) => line.dataset.id === within)?.querySelector("button")?.focus()
    before = now
    scope = model.content.scope
  }
  const update = () => {
    const {content} = model
    title.textContent = content.title
    sub.textContent = sub.title = content.sub
    key.textContent = content.key
    renew(calls, content.calls, ({words, command, first}) => {
      const line = element("p", calls, {class: first ? "call first" : "call"}, `${words} `)
      element("code", line, {}, command)
      copyButton(line, command, said)
    })
    holder.setAttribute("aria-label", content.title)
    holder.hidden = key.hidden = tools.hidden = content.rows.length === 0
    if (!content.columns.some((column) => column.key === order.key)) order = {key: "", way: 1}
    draw()
  }
  model.on("content", update)
  model.on("msg:custom", (data) => save(data.text, data.file, data.type))
  shade(model, section)
  update()
}
