// The account's webhooks: which addresses are told what, and what was delivered.

import { button, cell, field, form, h, request, table, when } from './server.js'

const BASE = 'api/v2/webhooks'

export async function showWebhooks(place, made) {
  const [{ webhooks }, { deliveries }] = await Promise.all([request('GET', BASE), request('GET', 'api/v2/webhook-deliveries')])
  const remove = ({ id, url }) => async () => {
    await request('DELETE', `${BASE}/${id}`)
    await showWebhooks(place)
    return `${url} is told nothing any more.`
  }
  const again = ({ id }) => async () => {
    await request('POST', `api/v2/webhook-deliveries/${id}/resend`, {})
    await showWebhooks(place)
    return 'It is sent again.'
  }
  const create = async ({ url }) => {
    await showWebhooks(place, await request('POST', BASE, { url }))
    return 'The secret, with which messages are signed, is shown only this once.'
  }
  place.replaceChildren(
    ...(made ? [h('p', {}, 'Secret: ', h('code', {}, made.secret))] : []),
    table(['Address', 'Told of', 'Since', ''], webhooks.map((each) => h('tr', {}, h('td', { class: 'wrap' }, each.url), cell(each.events.join(', ') || 'everything'),
      cell(when(Date.parse(each.created_at))), cell(button('Remove', remove(each)))))),
    deliveries.length ? table(['Event', 'State', 'Attempts', 'Error', ''], deliveries.slice(0, 20).map((each) => h('tr', {}, cell(each.event), cell(each.state),
      cell(String(each.attempts)), h('td', { class: 'wrap' }, each.error ?? ''), cell(each.state === 'failed' ? button('Send again', again(each)) : '')))) : '',
    form(create, field('Address (https) that is told when jobs end', { name: 'url', type: 'url', required: true }), h('p', {}, h('button', {}, 'Add a webhook')))
  )
}
