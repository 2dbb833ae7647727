// Package safefile replaces small files so that a reader, or the next start after a power failure, finds
// the old content or the new one and never a part of either.
package safefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Write replaces the file at path. It is for its owner alone (0600) and on the disk when Write returns.
// Two writers of one path do not disturb each other: one of them wins whole.
func Write(path string, content []byte) error {
	return WriteFrom(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// WriteFrom is Write for content that is not all in memory: write puts it out.
func WriteFrom(path string, write func(io.Writer) error) error {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // made with 0600
	if err != nil {
		return err
	}
	err = fill(f, write)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(folder)
}

// fill writes, syncs and closes.
func fill(f *os.File, write func(io.Writer) error) error {
	err := write(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes the rename itself durable.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
