package routefile

import (
	"bufio"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"io"
	"iter"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/safefile"
)

// magic begins every file; the format's number and a line end follow.
const magic = "mss routes "

// Write replaces the file. Routes are read once, in their order.
func Write(path string, head Head, routes iter.Seq[Route]) error {
	err := safefile.WriteFrom(path, func(w io.Writer) error { return encode(w, head, routes) })
	if err != nil {
		return &fault.Error{Op: "write routes", Kind: fault.Unavailable, Subject: path, Err: err}
	}
	return nil
}

// encode writes magic, head, chunks and the checksum of all that is before it.
func encode(w io.Writer, head Head, routes iter.Seq[Route]) error {
	sum := sha256.New()
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := io.MultiWriter(buffered, sum)
	if _, err := fmt.Fprintf(out, "%s%d\n", magic, Format); err != nil {
		return err
	}
	gobs := gob.NewEncoder(out)
	if err := gobs.Encode(&head); err != nil {
		return err
	}
	for c := range chunks(&head, routes) {
		if err := gobs.Encode(c); err != nil {
			return err
		}
	}
	if _, err := buffered.Write(sum.Sum(nil)); err != nil {
		return err
	}
	return buffered.Flush()
}
