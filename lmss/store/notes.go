package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/mss-federation/mss/pkg/fault"
)

// Note is what is known of a call in set-up. Data belongs to call control.
type Note struct {
	ID   string
	Data []byte
}

// Notes is a file of notes on calls in set-up. It is never synced: what was written survives the death of
// the process, not of the machine, which is enough, since a call in set-up does not survive that either.
// Put and Drop cost one write each. Its methods may be called from several goroutines.
//
// A record is: length of what follows the checksum (4 bytes), CRC-32 of all else (4), length of the id (2), id,
// and the data; a record whose top length bit is set is a Drop and has no data.
type Notes struct {
	path string
	max  int64

	mu struct {
		sync.Mutex
		file *os.File
		size int64           // where the next record goes
		live map[string]span // the newest record of each note
		used int64           // bytes of the live records
		buf  []byte
	}
}

// span is a whole record in the file.
type span struct{ at, length int64 }

const (
	noteHead  = 10
	dropMark  = 1 << 31
	minShrink = 1 << 20 // a smaller file is not worth writing anew
)

// OpenNotes opens the file, making it if need be. What a torn or damaged record cuts off is lost; all
// before it is there. bound is its largest size in bytes, of which
// half may be live.
func OpenNotes(path string, bound int64) (*Notes, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	n := &Notes{path: path, max: bound}
	n.mu.file, n.mu.live = f, map[string]span{}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	n.index(text)
	if err := f.Truncate(n.mu.size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return n, nil
}

// index finds the live records; it ends at the first that is not whole.
func (n *Notes) index(text []byte) {
	for at := int64(0); ; {
		id, drop, length, ok := readNote(text[at:])
		if !ok {
			n.mu.size = at
			return
		}
		n.forgetLocked(id)
		if !drop {
			n.mu.live[id] = span{at, length}
			n.mu.used += length
		}
		at += length
	}
}

// readNote reads the head of the first record of text.
func readNote(text []byte) (id string, drop bool, length int64, ok bool) {
	if len(text) < noteHead {
		return "", false, 0, false
	}
	word := binary.LittleEndian.Uint32(text)
	drop, length = word&dropMark != 0, 8+int64(word&^dropMark)
	if length < noteHead || length > int64(len(text)) || checksum(text[:length]) != binary.LittleEndian.Uint32(text[4:]) {
		return "", false, 0, false
	}
	end := noteHead + int64(binary.LittleEndian.Uint16(text[8:]))
	if end > length {
		return "", false, 0, false
	}
	return string(text[noteHead:end]), drop, length, true
}

// checksum covers the whole record but for itself.
func checksum(record []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(record[:4]), crc32.IEEETable, record[8:])
}

func appendNote(dst []byte, id string, data []byte, drop bool) []byte {
	word := uint32(2 + len(id) + len(data))
	if drop {
		word |= dropMark
	}
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, word)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(id)))
	dst = append(dst, id...)
	dst = append(dst, data...)
	binary.LittleEndian.PutUint32(dst[start+4:], checksum(dst[start:]))
	return dst
}

// Put keeps a note in the place of an earlier one of its id. data is copied. fault.Exhausted says that
// the calls in set-up fill the file.
func (n *Notes) Put(id string, data []byte) error {
	if len(id) > 1<<16-1 || len(data) > 1<<20 {
		return fault.New("write note", fault.Invalid, id, "the id or the data is too long")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	length := int64(noteHead + len(id) + len(data))
	if n.mu.used+length > n.max/2 { // the other half is what makes compacting rare
		return fault.New("write note", fault.Exhausted, id, fmt.Sprintf("the calls in set-up fill %d MB", n.max>>21))
	}
	at, err := n.appendLocked(id, data, false)
	if err != nil {
		return err
	}
	n.forgetLocked(id)
	n.mu.live[id] = span{at, length}
	n.mu.used += length
	return nil
}

// Drop forgets a note; one that is not there is no error.
func (n *Notes) Drop(id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.mu.live[id]; !ok {
		return nil
	}
	if _, err := n.appendLocked(id, nil, true); err != nil {
		return err
	}
	n.forgetLocked(id)
	return n.shrinkLocked()
}

func (n *Notes) forgetLocked(id string) {
	n.mu.used -= n.mu.live[id].length
	delete(n.mu.live, id)
}

// appendLocked writes one record, after making room where the file has reached its bound.
func (n *Notes) appendLocked(id string, data []byte, drop bool) (int64, error) {
	n.mu.buf = appendNote(n.mu.buf[:0], id, data, drop)
	if n.mu.size+int64(len(n.mu.buf)) > n.max && n.mu.used < n.mu.size {
		if err := n.compactLocked(); err != nil {
			return 0, err
		}
	}
	at := n.mu.size
	if _, err := n.mu.file.WriteAt(n.mu.buf, at); err != nil {
		return 0, fmt.Errorf("write note: %w", err)
	}
	n.mu.size += int64(len(n.mu.buf))
	return at, nil
}

// shrinkLocked empties a file that has no live record left: the usual way to stay small.
func (n *Notes) shrinkLocked() error {
	if len(n.mu.live) > 0 || n.mu.size < minShrink {
		return nil
	}
	n.mu.size = 0
	return n.mu.file.Truncate(0)
}

// compactLocked writes the live records to a new file, which takes the place of the old one at once.
func (n *Notes) compactLocked() error {
	temporary := n.path + ".new"
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("compact notes: %w", err)
	}
	live, size, err := n.copyLocked(f)
	if err == nil {
		err = os.Rename(temporary, n.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("compact notes: %w", err), f.Close())
	}
	old := n.mu.file
	n.mu.file, n.mu.live, n.mu.size = f, live, size
	return old.Close()
}

func (n *Notes) copyLocked(to *os.File) (live map[string]span, size int64, err error) {
	live = make(map[string]span, len(n.mu.live))
	all := make([]byte, 0, n.mu.used)
	for id, s := range n.mu.live {
		all = append(all, make([]byte, s.length)...)
		if _, err := n.mu.file.ReadAt(all[size:], s.at); err != nil {
			return nil, 0, err
		}
		live[id] = span{size, s.length}
		size += s.length
	}
	_, err = to.Write(all)
	return live, size, err
}

// Load reads the live notes, in no order.
func (n *Notes) Load() ([]Note, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]Note, 0, len(n.mu.live))
	for id, s := range n.mu.live {
		data := make([]byte, s.length-noteHead-int64(len(id)))
		if _, err := n.mu.file.ReadAt(data, s.at+noteHead+int64(len(id))); err != nil {
			return nil, fmt.Errorf("read notes: %w", err)
		}
		all = append(all, Note{id, data})
	}
	return all, nil
}

// Close closes the file. The notes stay in it.
func (n *Notes) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.file.Close()
}
