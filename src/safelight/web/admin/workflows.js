// Workflows for everybody: from a file, or with the command of the web UI.

import { button, cell, field, form, h, request, table, when } from './server.js'

export async function workflows(show) {
  const { workflows: found } = await request('GET', 'api/admin/workflows')
  const path = (name) => `api/admin/workflows/${encodeURIComponent(name)}`
  const withdraw = ({ name }) => () => request('DELETE', path(name)).then(show).then(() => `${name} is withdrawn.`)
  const give = async ({ file, name }) => {
    const title = name || file.name.replace(/\.json$/, '')
    await request('PUT', path(title), JSON.parse(await file.text()))
    await show()
    return `${title} is given to everybody.`
  }
  return [
    h('section', {}, h('h2', {}, 'Workflows for everybody'),
      h('p', { class: 'quiet' }, 'All users find them among the templates of the web UI, under "For everybody".'),
      table(['Name', 'Given by', 'When', ''], found.map((each) => h('tr', {}, cell(each.name), cell(each.given_by), cell(when(each.given_at)), cell(button('Withdraw', withdraw(each))))))),
    h('section', {}, h('h2', {}, 'Give a workflow'),
      form(give, field('File, as the web UI exports it', { name: 'file', type: 'file', accept: '.json', required: true }),
        field('Name', { name: 'name', placeholder: 'as the file' }), h('p', {}, h('button', { class: 'main' }, 'Give to everybody'))))
  ]
}
