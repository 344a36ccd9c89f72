import { onSubmit } from './form.js'

onSubmit(({ name, password }) => ({ name, password }), 'api/auth/session')

// Skip this page if the server has no accounts, or if the user is already signed in.
const { accounts, user } = await (await fetch('api/auth/session')).json()
if (!accounts || user) location.replace('./')
