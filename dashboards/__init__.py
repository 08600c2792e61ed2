"""Pages in the browser. Only this folder imports panel; importing it does nothing by itself."""
