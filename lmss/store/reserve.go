package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// reserve is a file that only takes up space, so that there is some to give back when the disk is full.
type reserve struct {
	path string
	size int64 // not above zero: there is none
}

var errLittleSpace = errors.New("too little free space")

// make allocates the file, unless it is there or would take most of what is free.
func (r reserve) make() error {
	if r.size <= 0 {
		return nil
	}
	if info, err := os.Stat(r.path); err == nil && info.Size() >= r.size {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(r.allocate(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(r.path))
	}
	return nil
}

func (r reserve) allocate(f *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return err
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < 2*r.size {
		return fmt.Errorf("%w: %d MB, of which %d MB would be the reserve", errLittleSpace, free>>20, r.size>>20)
	}
	err := unix.Fallocate(int(f.Fd()), 0, 0, r.size)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return r.fill(f)
	}
	return err
}

// fill writes zeros, for file systems that cannot allocate.
func (r reserve) fill(f *os.File) error {
	zeros := make([]byte, 1<<20)
	for left := r.size; left > 0; left -= int64(len(zeros)) {
		if _, err := f.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// giveUp frees the space; false when there was none.
func (r reserve) giveUp() bool { return r.size > 0 && os.Remove(r.path) == nil }
