// The files of a card: its figure as PNG or SVG, below its title, run, image and date; the server writes its tables.

const PIXELS = 3 // of a PNG for each pixel of the page
const [SIZE, LINE, EDGE] = [12, 16, 8] // letters, distance of lines and margin above the figure, in pixels

async function saveAs(kind, model, plot, report) {
  if (kind !== "PNG" && kind !== "SVG") return model.send_msg({csv: kind})
  if (!plot.layout) return
  try {
    const {svg, width, height} = await drawing(plot, model)
    const made = kind === "SVG" ? svg : await painted(svg, width, height)
    save(made, `${model.content.file}.${kind.toLowerCase()}`, kind === "SVG" ? "image/svg+xml" : "image/png")
  } catch (error) {
    report(`This figure could not be saved: ${error}`)
  }
}

// The figure as SVG below the card's title and what it is about, as high as its whole legend, which the page scrolls.
async function drawing(plot, {title, content}) {
  const {data, layout} = plot, {width, margin, font} = layout
  const legend = plot.querySelector(".legend .scrollbox")?.getBBox().height ?? 0
  const high = Math.max(layout.height, legend + margin.t + margin.b + EDGE)
  const address = await window.Plotly.toImage({data, layout: {...layout, height: high}}, {format: "svg", width, height: high})
  const figure = decodeURIComponent(address.slice(address.indexOf(",") + 1))
  const today = new Date().toLocaleDateString("sv") // year, month and day in the order of ISO 8601
  const lines = inLines([content.about, today].filter(Boolean).join(" · "), width - 2 * EDGE, font.family)
  const top = EDGE + LINE * (1 + lines.length), height = high + top
  const texts = [title, ...lines].map((text, k) =>
    `<text x="${EDGE}" y="${LINE * (k + 1)}" font-weight="${k ? 400 : 700}">${text.replace(/[&<>]/g, (letter) => `&#${letter.charCodeAt(0)};`)}</text>`)
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
    `<style>${await fonts(figure + texts.join(""))}</style><rect width="100%" height="100%" fill="${layout.paper_bgcolor}"/>` +
    `<g font-family="${font.family}" font-size="${SIZE}" fill="${font.color}">${texts.join("")}</g>` +
    `${figure.slice(figure.indexOf("<svg")).replace("<svg", `<svg y="${top}"`)}</svg>`
  return {svg, width, height}
}

function inLines(text, width, family) {
  const context = document.createElement("canvas").getContext("2d")
  context.font = `${SIZE}px ${family}`
  const most = Math.max(8, Math.floor(0.95 * width * text.length / context.measureText(text).width)) // letters in a line
  return text.match(new RegExp(`.{1,${most}}(?:\\s+|$)|\\S{${most}}`, "gu"))
}

// An image file knows none of the fonts of a page: those of its letters go into it, or others would cut them off.
async function fonts(text) {
  const letters = [65, ...new Set([...text.matchAll(/[^\x20-\x7e]/gu)].map(([letter]) => letter.codePointAt(0)))]
  const holds = (range) => range.split(",").some((part) => {
    const [low, high = low] = part.trim().slice(2).split("-").map((code) => parseInt(code, 16))
    return letters.some((letter) => low <= letter && letter <= high)
  })
  const rules = [...document.styleSheets].flatMap((sheet) => { try { return [...sheet.cssRules] } catch { return [] } })
    .filter((rule) => rule instanceof CSSFontFaceRule && holds(rule.style.getPropertyValue("unicode-range")))
  return (await Promise.all(rules.map(inFile))).join("")
}

async function inFile(rule) {
  const [whole, address] = rule.style.getPropertyValue("src").match(/url\("?([^")]+)"?\)/)
  const bytes = new Uint8Array(await (await fetch(new URL(address, rule.parentStyleSheet.href ?? document.baseURI))).arrayBuffer())
  const text = btoa(bytes.reduce((letters, byte) => letters + String.fromCharCode(byte), ""))
  return rule.cssText.replace(whole, `url("data:font/woff2;base64,${text}")`)
}

async function painted(svg, width, height) {
  const image = new Image(), canvas = document.createElement("canvas")
  image.src = URL.createObjectURL(new Blob([svg], {type: "image/svg+xml"}))
  await image.decode()
  Object.assign(canvas, {width: PIXELS * width, height: PIXELS * height})
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(image.src)
  return new Promise((done) => canvas.toBlob(done, "image/png"))
}
