// Safelight's extension of the web UI: the search in the Assets panel looks through more files.
//
// The panel searches the files that it has loaded, at first 100 of them. It loads the contract's largest page here, so
// that a search finds what was made longer ago, too.

import { api } from '../../scripts/api.js'

const PAGE = '100'
const LARGEST_PAGE = '500'

const fetchApi = api.fetchApi.bind(api)
api.fetchApi = (path, options) => {
  const [route, query] = String(path).split('?')
  const params = new URLSearchParams(query)
  if (route !== '/assets' || params.get('limit') !== PAGE || !params.has('tags_any')) return fetchApi(path, options)
  params.set('limit', LARGEST_PAGE)
  return fetchApi(`${route}?${params}`, options)
}
