// Safelight's extension of the web UI: the Model Library shows the model files of this server.
//
// With assets announced, the library asks for the user's own assets with the tag "models". This server's model files are
// nobody's own, and not all of them are assets: registering one means to read it whole. So the library gets the lists of
// files by folder, in the form of assets.

import { api } from '../../scripts/api.js'

const fetchApi = api.fetchApi.bind(api)
api.fetchApi = async (path, options) => {
  const [route, query] = String(path).split('?')
  const tags = new URLSearchParams(query).get('include_tags')?.split(',') ?? []
  if (route !== '/assets' || !tags.includes('models')) return fetchApi(path, options)
  const wanted = tags.filter((tag) => tag !== 'models').map((tag) => tag.replace('model_type:', ''))
  const folders = (await list('/experiment/models')).map((folder) => folder.name)
  const listed = await Promise.all(folders.filter((folder) => !wanted.length || wanted.includes(folder)).map(inFolder))
  const assets = listed.flat()
  return Response.json({ assets, total: assets.length, has_more: false })
}

async function list(route) {
  const response = await fetchApi(route)
  return response.ok ? response.json() : []
}

async function inFolder(folder) {
  const files = await list(`/experiment/models/${encodeURIComponent(folder)}`)
  return files.map(({ name }) => ({
    id: `${folder}/${name}`,
    name,
    loader_path: name,
    tags: ['models', folder, `model_type:${folder}`],
    user_metadata: { filename: name },
    created_at: new Date(0).toISOString(),
    updated_at: new Date(0).toISOString()
  }))
}
