// What the two forms share: send the fields as JSON, go on to the web UI, or say what was wrong.

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

async function send(address, body) {
  const answer = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (answer.ok) return
  const { message } = await answer.json().catch(() => ({}))
  throw new Error(message ?? `The server answered ${answer.status}`)
}
