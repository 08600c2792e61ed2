// What the tests of the pages measure in the browser; each part of a page has a shadow root of its own.

function every() {
  const found = []
  const walk = (root) => {
    for (const part of root.querySelectorAll("*")) {
      found.push(part)
      if (part.shadowRoot) walk(part.shadowRoot)
    }
  }
  walk(document)
  return found
}

const shown = (part) => part.checkVisibility({visibilityProperty: true})
const words = (part) => `${part.tagName}.${part.getAttribute("class")} ${part.textContent.trim().slice(0, 40)}`
const beginning = (part) => part.outerHTML.slice(0, 150)

const busy = () => every().some((part) => part.matches("section.view.busy") && shown(part))

// The elements that the Tab key is to reach; of the commands to copy in a table there may be hundreds.
function stops() {
  const kinds = "a[href], button, input, select, textarea, [tabindex]"
  return every().filter((part) => (
    part.tabIndex >= 0 && !part.disabled && shown(part) && part.matches(kinds) && !part.closest("[data-act=copy]")
  ))
}

// The element that has the focus, null for none.
function focused() {
  let part = document.activeElement
  while (part.shadowRoot?.activeElement) part = part.shadowRoot.activeElement
  return part === document.body ? null : part
}

// Whether it is seen to have the focus: by an outline, by the frame around it, or as Material's fields and buttons show it.
function marked(part) {
  const {outlineStyle, outlineWidth} = getComputedStyle(part)
  const outlined = outlineStyle !== "none" && parseFloat(outlineWidth) > 0
  const frame = part.parentElement?.querySelector(":scope > input:focus-visible + fieldset")
  const framed = frame && parseFloat(getComputedStyle(frame).borderTopWidth) >= 2
  return part.matches(":focus-visible") && (outlined || framed || part.closest(".Mui-focusVisible, .Mui-focused") !== null)
}

// What leaves the window or is cut by its own box, apart from what lies in a part that is scrolled to the side.
function cut() {
  const page = (part) => part.matches(".main-content")
  const up = (part) => part.parentElement ?? part.getRootNode().host
  const scrolls = (part) => ["auto", "scroll"].includes(getComputedStyle(part).overflowX) && !page(part)
  const inScrolled = (part) => { for (let out = up(part); out; out = up(out)) if (scrolls(out)) return true; return false }
  const hides = (overflow) => overflow === "hidden" || overflow === "clip"
  return every().filter((part) => {
    const box = part.getBoundingClientRect()
    if (part.id === "js-plotly-tester" || box.width < 2 || box.height < 2 || !shown(part)) return false
    if (part instanceof SVGElement && part.tagName !== "svg") return false
    if ((box.left < -1 || box.right > innerWidth + 1) && !inScrolled(part)) return true
    const [wider, higher] = [part.scrollWidth > part.clientWidth + 1, part.scrollHeight > part.clientHeight + 2]
    if (page(part)) return wider
    const {overflowX, overflowY} = getComputedStyle(part)
    const hidden = (hides(overflowX) && wider) || (hides(overflowY) && higher)
    return hidden && part.textContent.trim() !== "" && part.tagName !== "MAIN"
  }).map(words)
}

// Cards with nothing to the right of them that do not reach the right end of their row either.
function holes() {
  const grids = every().filter((part) => part.shadowRoot && getComputedStyle(part).display === "grid")
  return grids.flatMap((grid) => {
    const end = grid.getBoundingClientRect().right
    const boxes = [...grid.shadowRoot.children].map((part) => part.getBoundingClientRect()).filter((box) => box.height > 2)
    const beside = (one) => boxes.filter((other) => other.top <= one.top + 1 && other.bottom > one.top + 1)
    return boxes.filter((one) => Math.max(...beside(one).map((other) => other.right)) < end - 20).map((box) => [box, end])
  })
}
