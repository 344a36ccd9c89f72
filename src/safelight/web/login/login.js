import { onSubmit } from './form.js'

onSubmit(({ name, password }) => ({ name, password }), 'api/auth/session')

// Who needs no session, or has one, is not asked again.
const { accounts, user } = await (await fetch('api/auth/session')).json()
if (!accounts || user) location.replace('./')
