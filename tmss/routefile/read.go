package routefile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

const opRead = "read routes"

// Read reads a file. The error is of kind NotFound where there is none, and Invalid where it cannot be used: then routes
// are not looked at. The head is checked by accept before any route is given to take, some thousands at a time.
func Read(path string, accept func(Head) error, take func([]Route)) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return &fault.Error{Op: opRead, Kind: fault.NotFound, Subject: path, Err: err}
	}
	if err != nil {
		return &fault.Error{Op: opRead, Kind: fault.Unavailable, Subject: path, Err: err}
	}
	defer f.Close()
	body, err := checked(f)
	if err == nil {
		err = decode(body, accept, take)
	}
	if err != nil {
		return &fault.Error{Op: opRead, Kind: fault.Invalid, Subject: path, Err: err}
	}
	return nil
}

var (
	errChecksum = errors.New("the file is not as it was written: its checksum differs")
	errNumbers  = errors.New("a route names what is not in the file")
)

// checked reads the file once for its checksum, and gives what is before that from the beginning.
func checked(f *os.File) (io.Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size() - sha256.Size
	if size <= 0 {
		return nil, errChecksum
	}
	sum, stored := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.CopyN(sum, f, size); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(f, stored); err != nil {
		return nil, err
	}
	if !bytes.Equal(sum.Sum(nil), stored) {
		return nil, errChecksum
	}
	_, err = f.Seek(0, io.SeekStart)
	return io.LimitReader(f, size), err
}

func decode(r io.Reader, accept func(Head) error, take func([]Route)) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var format int
	if n, err := fmt.Fscanf(in, magic+"%d\n", &format); n != 1 || err != nil || format != Format {
		return fmt.Errorf("the file is of format %d, and this version reads %d", format, Format)
	}
	gobs := gob.NewDecoder(in)
	var head Head
	if err := gobs.Decode(&head); err != nil {
		return err
	}
	if err := accept(head); err != nil {
		return err
	}
	var attributes []*federation.Attributes
	for {
		var c chunk
		if err := gobs.Decode(&c); err != nil {
			return err
		}
		attributes = append(attributes, c.Attributes...)
		routes, err := c.routes(&head, attributes)
		if err != nil {
			return err
		}
		take(routes)
		if c.Last {
			return nil
		}
	}
}

func (c *chunk) routes(head *Head, attributes []*federation.Attributes) ([]Route, error) {
	routes := make([]Route, 0, len(c.Records))
	for i := range c.Records {
		r := &c.Records[i]
		if r.Neighbour < 0 || r.Neighbour >= len(head.Neighbours) || r.Attributes < 0 || r.Attributes >= len(attributes) ||
			attributes[r.Attributes] == nil {
			return nil, errNumbers
		}
		if err := r.NLRI.Check(); err != nil {
			return nil, err
		}
		routes = append(routes, Route{Neighbour: head.Neighbours[r.Neighbour].Node, Route: federation.Route{
			NLRI: r.NLRI, PathID: r.PathID, Attributes: attributes[r.Attributes], Revisions: r.Revisions,
		}})
	}
	return routes, nil
}
