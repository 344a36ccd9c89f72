// Safelight's extension of the web UI: which engine, pack or version would run the nodes that this server lacks, in the
// frontend's own panel of issues.

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'

const CARD = '[data-testid="missing-node-card"]'
const OURS = 'safelight-missing-nodes'

/** All nodes of the graph and of its subgraphs. */
function* nodesOf(graph) {
  for (const node of graph?.nodes ?? []) {
    yield node
    if (node.subgraph) yield* nodesOf(node.subgraph)
  }
}

/** The types that no worker has, by the pack and version that the workflow names: `{pack, version, types}`. */
function missing() {
  const groups = new Map()
  for (const node of nodesOf(app.graph)) {
    const type = node.last_serialization?.type ?? node.type
    if (type in window.LiteGraph.registered_node_types) continue
    const { cnr_id: pack = node.properties?.aux_id ?? '', ver: version = '' } = node.properties ?? {}
    const group = groups.get(`${pack}@${version}`) ?? { pack, version, types: new Set() }
    groups.set(`${pack}@${version}`, group)
    group.types.add(type)
  }
  return [...groups.values()]
}

async function installed() {
  const response = await api.fetchApi('/account/packs')
  return response.ok ? response.json() : { packs: [], engines: [] }
}

function sentence({ pack, version, types }, { packs, engines }) {
  const names = [...types].sort().join(', ')
  const here = engines.length ? `The engines of this server are ${engines.join(' and ')}.` : ''
  if (pack === 'comfy-core') {
    const wanted = version ? `ComfyUI ${version} or newer` : 'a newer ComfyUI'
    return `${names}: of ComfyUI itself. A worker with ${wanted} as its engine would run it. ${here}`
  }
  if (!pack) return `${names}: the workflow does not say which node pack this comes from.`
  const known = packs.find((each) => simple(each.name) === simple(pack.split('/').at(-1)))
  const of = `of the node pack ${pack}${version ? ` (version ${version.slice(0, 12)})` : ''}`
  if (known?.failures.length) return `${names}: ${of}, which is installed here but was not loaded completely: ${known.failures[0].reason}`
  if (known) return `${names}: ${of}; the version installed here does not have it.`
  return `${names}: ${of}. It would run once an administrator has installed that pack for a worker.`
}

const simple = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, '')

function show(card, groups, there) {
  const list = document.createElement('ul')
  list.className = OURS
  for (const group of groups) {
    const item = document.createElement('li')
    item.textContent = sentence(group, there)
    list.append(item)
  }
  card.querySelector(`.${OURS}`)?.remove()
  card.append(list)
}

/** The panel is drawn whenever somebody opens it. */
function watch() {
  let drawn = ''
  const look = async () => {
    const card = document.querySelector(CARD)
    if (!card) return
    const groups = missing()
    const mark = JSON.stringify(groups.map((group) => [group.pack, group.version, [...group.types]]))
    if (!groups.length || (card.querySelector(`.${OURS}`) && drawn === mark)) return
    drawn = mark
    show(card, groups, { packs: [], engines: [] })
    show(card, groups, await installed())
  }
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true })
}

app.registerExtension({ name: 'Safelight.MissingNodes', setup: watch })
