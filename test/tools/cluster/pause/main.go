// Command pause is the process that holds a pod's namespaces while its containers come and go.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	// Nobody waits for what is orphaned here: without this it would stay as a zombie.
	signal.Ignore(syscall.SIGCHLD)
	<-signals
}
