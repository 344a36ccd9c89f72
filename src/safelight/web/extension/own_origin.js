// Safelight's extension of the web UI: the page sends requests to this server only, and what would open the pages of the
// frontend's project opens this server's help. Links that a person follows out of a workflow's notes stay as they are.

const HELP = new URL('../../help', import.meta.url)
const OF_THE_FRONTEND =
  /^https:\/\/([a-z]+\.)*comfy\.org(\/|$)|^https:\/\/(www\.)?(comfy-org|comfyui)\.|^https:\/\/github\.com\/(Comfy-Org|comfyanonymous)\/(?!ComfyUI_frontend$)|^https:\/\/discord\.(com|gg)\//i

export function isForeign(address) {
  const url = new URL(address, document.baseURI)
  return /^(https?|wss?):$/.test(url.protocol) && url.host !== location.host
}

const answers = []
/** Let `answer(url, options)` respond to requests to other servers; `undefined` leaves a request to the next. */
export const answerForeign = (answer) => answers.push(answer)

const send = window.fetch.bind(window)
window.fetch = async (input, options) => {
  const address = input instanceof Request ? input.url : String(input)
  if (!isForeign(address)) return send(input, options)
  for (const answer of answers) {
    const response = await answer(new URL(address), options ?? {})
    if (response) return response
  }
  throw new TypeError(`this page sends no requests to ${new URL(address).host}`)
}

const { open, send: sendXhr } = XMLHttpRequest.prototype
const refused = new WeakSet()
XMLHttpRequest.prototype.open = function (method, address, ...rest) {
  if (isForeign(address)) {
    refused.add(this)
    return open.call(this, method, location.href, ...rest)
  }
  refused.delete(this)
  return open.call(this, method, address, ...rest)
}
XMLHttpRequest.prototype.send = function (body) {
  if (!refused.has(this)) return sendXhr.call(this, body)
  queueMicrotask(() => this.dispatchEvent(new ProgressEvent('error')))
}

const openWindow = window.open.bind(window)
window.open = (address, ...rest) => {
  const isOfTheFrontend = address && OF_THE_FRONTEND.test(new URL(address, document.baseURI).href)
  return openWindow(isOfTheFrontend ? HELP : address, ...rest)
}

document.addEventListener(
  'click',
  (event) => {
    const link = event.target instanceof Element ? event.target.closest('a[href]') : null
    if (!link || !OF_THE_FRONTEND.test(link.href)) return
    event.preventDefault()
    event.stopPropagation()
    openWindow(HELP, '_blank', 'noopener')
  },
  true
)
