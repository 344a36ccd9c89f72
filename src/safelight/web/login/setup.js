import { onSubmit } from './form.js'

// The link's secret is after '#', which browsers do not send to servers, so it appears in no log.
const token = location.hash.slice(1)

onSubmit(({ name, password, again }) => {
  if (password !== again) throw new Error('The passwords do not match')
  return { token, name, password }
}, 'api/auth/setup')
