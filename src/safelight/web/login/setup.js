import { onSubmit } from './form.js'

// The link's secret stands behind '#', which browsers keep to themselves: it is in no log on the way.
const token = location.hash.slice(1)

onSubmit(({ name, password, again }) => {
  if (password !== again) throw new Error('The two passwords differ')
  return { token, name, password }
}, 'api/auth/setup')
