package plugin

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// orphanDrain is how long calls may take when nobody waits for the answers any more.
const orphanDrain = time.Second

// toldToStop sends the time that running calls may take once the process is told to stop. The function
// it gives back ends the listening.
func toldToStop(ctx context.Context, stop chan<- time.Duration, drain time.Duration) func() {
	signals, isTold := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	tell := func(limit time.Duration, why string) {
		select {
		case stop <- limit:
			slog.Info(why)
		default:
		}
	}
	forget := context.AfterFunc(signals, func() { tell(drain, "told to stop; running calls may finish") })
	if isSupervised() {
		// A read of stdin cannot be cut short: this one ends with the process.
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			tell(orphanDrain, "stdin was closed: the parent is gone")
		}()
	}
	return func() {
		forget()
		isTold()
	}
}
