package plugin

import (
	"crypto/sha256"
	"sync"
	"time"

	"agentd.dev/sdk/go/toolv1"
	"google.golang.org/grpc/codes"
)

// Bounds of what is kept of calls with an idempotency key.
const (
	maxKeys     = 1024
	maxKeyAge   = time.Hour
	maxKeyBytes = 64 << 20
)

// keyed keeps how calls with an idempotency key ended, so that each acts once. When there is no room,
// the oldest that ended go first.
type keyed struct {
	now     func() time.Time
	mu      sync.Mutex
	entries map[keyOf]*entry
	bytes   int
}

type keyOf struct{ tool, key string }

type entry struct {
	arguments [sha256.Size]byte
	began     time.Time
	// done is closed when the first call ended; ended and stays are set before that.
	done  chan struct{}
	ended settled
	// stays says that it is told again; otherwise nothing was changed and the next call may act.
	stays bool
	size  int
}

// claim is one call's hold on a key.
type claim struct {
	of        keyOf
	canonical string
	entry     *entry
	// isFirst says that this call acts, and must settle.
	isFirst bool
}

func newKeyed(now func() time.Time) *keyed {
	return &keyed{now: now, entries: map[keyOf]*entry{}}
}

// claim takes the key for a call, or finds who did. The same key with other arguments is refused.
func (k *keyed) claim(tool, key, canonical string) (*claim, *Failure) {
	of, arguments := keyOf{tool, key}, sha256.Sum256([]byte(canonical))
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget()
	if known := k.entries[of]; known != nil {
		if known.arguments != arguments {
			failure := InvalidArgument("idempotency_key", "was used with other arguments before; a key stands for one call")
			failure.code, failure.Reason = codes.AlreadyExists, "IDEMPOTENCY_KEY_REUSED"
			return nil, failure
		}
		return &claim{of, canonical, known, false}, nil
	}
	fresh := &entry{arguments: arguments, began: k.now(), done: make(chan struct{})}
	k.entries[of] = fresh
	return &claim{of, canonical, fresh, true}, nil
}

func (k *keyed) again(c *claim) (*claim, *Failure) { return k.claim(c.of.tool, c.of.key, c.canonical) }

// settle keeps how the first call ended, unless it surely changed nothing.
func (k *keyed) settle(c *claim, ended settled) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.entry.ended = ended
	c.entry.stays = ended.failure == nil || ended.failure.GetEffects() != toolv1.EffectState_EFFECT_STATE_NONE
	if c.entry.stays {
		c.entry.size = ended.size()
		k.bytes += c.entry.size
	} else if k.entries[c.of] == c.entry {
		delete(k.entries, c.of)
	}
	close(c.entry.done)
}

// forget makes room: what is too old, then the oldest that ended.
func (k *keyed) forget() {
	for of, entry := range k.entries {
		if entry.hasEnded() && k.now().Sub(entry.began) > maxKeyAge {
			k.drop(of, entry)
		}
	}
	for len(k.entries) >= maxKeys || k.bytes > maxKeyBytes {
		var oldest keyOf
		var found *entry
		for of, entry := range k.entries {
			if entry.hasEnded() && (found == nil || entry.began.Before(found.began)) {
				oldest, found = of, entry
			}
		}
		if found == nil {
			return
		}
		k.drop(oldest, found)
	}
}

func (k *keyed) drop(of keyOf, entry *entry) {
	delete(k.entries, of)
	k.bytes -= entry.size
}

func (e *entry) hasEnded() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}
