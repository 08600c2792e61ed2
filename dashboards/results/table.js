// A table that sorts by its headings, with downloads and, in each row, a command to copy. Columns and rows come as data;
// the order of sorting stays in the browser, so that rows that arrive later fall into it.

function element(tag, className, parent, text = "") {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text) made.textContent = text
  parent.append(made)
  return made
}

function button(className, parent, text, label, onclick) {
  const made = element("button", className, parent, text)
  made.type = "button"
  made.title = label
  made.setAttribute("aria-label", label)
  made.onclick = onclick
  return made
}

function save(text, name, type) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type}))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
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
    const cell = element("th", column.numeric ? "number" : "", head)
    cell.scope = "col"
    const way = order.key === column.key ? order.way : 0
    cell.setAttribute("aria-sort", way === 0 ? "none" : way > 0 ? "ascending" : "descending")
    const made = button("sort", cell, column.title, `Sort by ${column.title}. ${column.hint}`, () => choose(column))
    element("span", "way", made, way === 0 ? "" : way > 0 ? " ▲" : " ▼").setAttribute("aria-hidden", "true")
  }
}

function drawRow(body, row, columns, fresh, said) {
  const line = element("tr", fresh ? "fresh" : "", body)
  line.dataset.id = row.id
  row.cells.forEach((cell, k) => {
    const made = element(k === 0 ? "th" : "td", columns[k].numeric ? "number" : "", line)
    if (k === 0) made.scope = "row"
    made.dataset.key = columns[k].key
    if (cell.mark) made.classList.add(cell.mark)
    if (cell.title) made.title = cell.title
    made.append(cell.text)
    if (columns[k].key === "command" && row.command) {
      const label = `Copy the command: ${row.command}`
      const copying = button("copy", made, "Copy", label, () => copy(row.command, copying, said))
    }
  })
  return line
}

function drawCalls(holder, calls, said) {
  holder.replaceChildren()
  for (const {words, command, first} of calls) {
    const line = element("p", first ? "call first" : "call", holder, `${words} `)
    element("code", "", line, command)
    const made = button("copy", line, "Copy", `Copy the command: ${command}`, () => copy(command, made, said))
  }
}

export function render({model, el}) {
  const section = element("section", "results", el)
  const head = element("div", "head", section)
  const title = element("h2", "", head)
  const sub = element("span", "sub", head)
  const tools = element("div", "tools", head)
  const said = element("span", "said", section)
  said.setAttribute("role", "status")
  for (const kind of model.kinds) {
    button("export", tools, kind, `Save the rows shown as ${kind}`, () => model.send_msg({save: kind}))
  }
  const calls = element("div", "calls", section)
  const holder = element("div", "holder", section)
  holder.tabIndex = 0
  holder.setAttribute("role", "region")
  const table = element("table", "", holder)
  const top = element("tr", "", element("thead", "", table))
  const body = element("tbody", "", table)
  const key = element("p", "key", section)
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
    section.classList.toggle("dark", content.dark)
    title.textContent = content.title
    sub.textContent = sub.title = content.sub
    key.textContent = content.key
    const wanted = JSON.stringify(content.calls)
    if (calls.dataset.now !== wanted) drawCalls(calls, content.calls, said)
    calls.dataset.now = wanted
    holder.setAttribute("aria-label", content.title)
    holder.hidden = key.hidden = tools.hidden = content.rows.length === 0
    if (!content.columns.some((column) => column.key === order.key)) order = {key: "", way: 1}
    draw()
  }
  model.on("content", update)
  model.on("msg:custom", (data) => save(data.text, data.file, data.type))
  update()
}
