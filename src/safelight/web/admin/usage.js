// What users used, by day, as a chart and a table; and what they store.

import { bytes, cell, h, request, seconds, table } from './server.js'

const DAYS = 30
const DAY_MS = 86_400_000
const WIDTH = 600
const HEIGHT = 160

export async function usage() {
  const [{ days }, { users }] = await Promise.all([request('GET', `api/admin/usage?days=${DAYS}`), request('GET', 'api/admin/users')])
  const totals = new Map()
  for (const { user, name, jobs, device_s: time } of days) {
    const total = totals.get(user) ?? { name, jobs: 0, time: 0 }
    totals.set(user, { name, jobs: total.jobs + jobs, time: total.time + time })
  }
  const byTime = [...totals.values()].sort((a, b) => b.time - a.time)
  const byStorage = [...users].sort((a, b) => b.used.stored_bytes - a.used.stored_bytes)
  return [
    h('section', {}, h('h2', {}, `Device time of the last ${DAYS} days`), chart(days)),
    h('section', {}, h('h2', {}, 'By user'), table(['User', 'Jobs', 'Device time'], byTime.map((total) =>
      h('tr', {}, cell(total.name), cell(String(total.jobs)), cell(seconds(total.time)))))),
    h('section', {}, h('h2', {}, 'Storage'), table(['User', 'Stored', 'Limit'], byStorage.map((user) =>
      h('tr', {}, cell(user.name), cell(bytes(user.used.stored_bytes)), cell(user.limits.stored_bytes == null ? 'none' : bytes(user.limits.stored_bytes))))))
  ]
}

function chart(days) {
  const today = Math.floor(Date.now() / DAY_MS)
  const perDay = Array.from({ length: DAYS }, () => 0)
  for (const { day, device_s: time } of days) {
    const index = DAYS - 1 - (today - day / DAY_MS)
    if (index >= 0 && index < DAYS) perDay[index] += time
  }
  const most = Math.max(...perDay, 1)
  const step = WIDTH / DAYS
  const bars = perDay.map((time, index) => {
    const height = (time / most) * (HEIGHT - 30)
    const bar = svg('rect', { x: index * step + 1, y: HEIGHT - 15 - height, width: step - 2, height })
    const title = svg('title', {})
    title.textContent = `${dayName(today - DAYS + 1 + index)}: ${seconds(time)}`
    bar.append(title)
    return bar
  })
  const image = svg('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': `Device time by day; the most on one day is ${seconds(most)}` })
  image.append(...bars, label(0, 10, `at most ${seconds(most)} a day`), label(0, HEIGHT - 2, dayName(today - DAYS + 1)), label(WIDTH - 60, HEIGHT - 2, dayName(today)))
  return image
}

const dayName = (day) => new Date(day * DAY_MS).toLocaleDateString()

function label(x, y, text) {
  const element = svg('text', { x, y })
  element.textContent = text
  return element
}

function svg(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  return element
}
