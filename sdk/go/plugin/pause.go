package plugin

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// shortestPause keeps a run of bad luck from being a hot loop: full jitter may draw next to nothing.
	shortestPause = 20 * time.Millisecond
)

// backoff gives growing pauses with full jitter: 0 to 0.2 s, doubling up to 5 s. Zero is the beginning.
type backoff struct{ ceiling time.Duration }

func (b *backoff) next() time.Duration {
	ceiling := max(b.ceiling, firstPause)
	b.ceiling = min(ceiling*2, longestPause)
	return max(jitter(ceiling), shortestPause)
}

// jitter gives a random span from nothing to longest.
func jitter(longest time.Duration) time.Duration {
	if longest <= 0 {
		return 0
	}
	return rand.N(longest + 1)
}

// pause waits, and tells whether it was not cut short.
func pause(ctx context.Context, span time.Duration) bool {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
