// Shared by the forms: send the fields as JSON, then open the web UI or show the error.

export function onSubmit(read, address) {
  const form = document.querySelector('form')
  const problem = form.querySelector('.problem')
  const button = form.querySelector('button')

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    problem.textContent = ''
    try {
      await send(address, read(Object.fromEntries(new FormData(form))))
      location.replace('./')
    } catch (error) {
      problem.textContent = error.message
      button.disabled = false
    }
  })
}

export async function send(address, body) {
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (response.ok) return response.json()
  const { message } = await response.json().catch(() => ({}))
  throw new Error(message ?? `The server returned the status ${response.status}`)
}
