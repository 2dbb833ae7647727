package store

import (
	"log/slog"
	"time"
)

// Options set the store's limits.
type Options struct {
	// Logger gets what an operator must know. Zero means none.
	Logger *slog.Logger
	// QueueLimit bounds the calls and call records that wait to be written while the disk takes none.
	// Zero means 10 000.
	QueueLimit int
	// ReserveBytes is the size of the file that is given up first when the disk is full. Zero means
	// 32 MB; negative means none.
	ReserveBytes int64
	// RetryInterval is how often a disk that took no writes is tried again. Zero means 1 s.
	RetryInterval time.Duration
	// CheckpointBytes is how much is written between two moves from the write-ahead log to the database.
	// Zero means 4 MB.
	CheckpointBytes int64
	// NotesBytes bounds the file of notes on calls in set-up. Zero means 16 MB.
	NotesBytes int64
	// Alarm is told of each change of state, from the goroutine that met it, without a lock held. It must
	// not block. Zero means nobody.
	Alarm func(State, error)

	// maxPages limits the database for tests of a full disk. Zero means none.
	maxPages int
}

// EnsureDefaults fills in what is zero.
func (o *Options) EnsureDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QueueLimit == 0 {
		o.QueueLimit = 10_000
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = 32 << 20
	}
	if o.RetryInterval == 0 {
		o.RetryInterval = time.Second
	}
	if o.CheckpointBytes == 0 {
		o.CheckpointBytes = 4 << 20
	}
	if o.NotesBytes == 0 {
		o.NotesBytes = 16 << 20
	}
	if o.Alarm == nil {
		o.Alarm = func(State, error) {}
	}
}
