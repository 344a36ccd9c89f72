"""One module per resource of the contract; a handler is named by its operationId."""
