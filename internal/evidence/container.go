package evidence

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A bundle is a zip file of one form: files beside each other from its first byte on, each
// with what its header says and its descriptor, then the directory, then the end, and
// nothing else. So whoever reads it by the directory and whoever reads it by the headers
// finds the same.

// Bounds of what is read before anything is known of a bundle.
const (
	maxFiles     = 1000
	maxDirectory = 1 << 20
)

// Sizes of what a zip consists of, in bytes (APPNOTE.TXT 4.3).
const (
	endSize    = 22
	entrySize  = 46
	headerSize = 30
	stampSize  = 9  // the extra field 0x5455, a time
	bigSize    = 28 // the extra field 0x0001, of what is larger than 4 GiB
)

var errNoBundle = errors.New("this is no bundle of evidence: it cannot be read as a zip file, was cut short, or has more before, between or behind its files")

// packed is one file of a zip.
type packed struct {
	name         string
	header       []byte // what its header has in common with its entry of the directory
	extra        []byte
	offset       int64
	inside, size int64 // packed and unpacked
	sum          uint32
	big          bool
	data         *io.SectionReader
}

// unzip gives the files of a zip in their order, and refuses one of another form.
func unzip(r io.ReaderAt, size int64) ([]*packed, error) {
	le := binary.LittleEndian
	end := make([]byte, endSize)
	if size < endSize || size > largest {
		return nil, errNoBundle
	}
	if _, err := r.ReadAt(end, size-endSize); err != nil || le.Uint32(end) != 0x06054b50 || le.Uint32(end[4:]) != 0 || le.Uint16(end[20:]) != 0 {
		return nil, errNoBundle
	}
	count, length, begin := int(le.Uint16(end[10:])), int64(le.Uint32(end[12:])), int64(le.Uint32(end[16:]))
	if count > maxFiles || length > maxDirectory {
		return nil, fmt.Errorf("this is no bundle of evidence: it has %d files", count)
	}
	if int(le.Uint16(end[8:])) != count || begin+length != size-endSize {
		return nil, errNoBundle
	}
	directory := make([]byte, length)
	if _, err := r.ReadAt(directory, begin); err != nil && length > 0 {
		return nil, errNoBundle
	}
	var files []*packed
	at := int64(0)
	for range count {
		f, rest, err := entry(directory)
		if err == nil {
			directory = rest
			at, err = f.find(r, at)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(directory) > 0 || at != begin {
		return nil, errNoBundle
	}
	return files, nil
}

// entry reads the next entry of the directory.
func entry(b []byte) (*packed, []byte, error) {
	le := binary.LittleEndian
	if len(b) < entrySize || le.Uint32(b) != 0x02014b50 {
		return nil, nil, errNoBundle
	}
	name, extra := int(le.Uint16(b[28:])), int(le.Uint16(b[30:]))
	if len(b) < entrySize+name+extra {
		return nil, nil, errNoBundle
	}
	f := &packed{
		name: string(b[entrySize : entrySize+name]), header: b[8:16], extra: b[entrySize+name : entrySize+name+extra], sum: le.Uint32(b[16:]),
		inside: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), offset: int64(le.Uint32(b[42:])),
	}
	switch {
	case !aName.MatchString(f.name) || le.Uint32(b[38:]) != 0: // attributes: a link, a directory
		return nil, nil, fmt.Errorf("%q is no name of a file of a bundle", f.name)
	case le.Uint16(b[8:]) != 8 || le.Uint16(b[10:]) != 8: // with a descriptor, deflated
		return nil, nil, fmt.Errorf("%s is not packed as in a bundle", f.name)
	case le.Uint32(b[32:]) != 0: // a comment, another disk
		return nil, nil, errNoBundle
	}
	if big := len(f.extra) - bigSize; big >= 0 && f.size == math.MaxUint32 {
		x := f.extra[big:]
		if le.Uint32(x) != 24<<16|1 || f.inside != math.MaxUint32 || f.offset != math.MaxUint32 {
			return nil, nil, errNoBundle
		}
		f.extra, f.big = f.extra[:big], true
		f.size, f.inside, f.offset = int64(le.Uint64(x[4:])&math.MaxInt64), int64(le.Uint64(x[12:])&math.MaxInt64), int64(le.Uint64(x[20:])&math.MaxInt64)
	}
	if n := len(f.extra); n != 0 && (n != stampSize || le.Uint32(f.extra) != 5<<16|0x5455) {
		return nil, nil, fmt.Errorf("%s has more beside it than a file of a bundle", f.name)
	}
	return f, b[entrySize+name+extra:], nil
}

// find holds what is at the place of a file against its entry, and gives the place behind.
func (f *packed) find(r io.ReaderAt, at int64) (int64, error) {
	le := binary.LittleEndian
	if f.offset != at || f.inside > largest {
		return 0, errNoBundle
	}
	b := make([]byte, headerSize+len(f.name)+len(f.extra))
	if _, err := r.ReadAt(b, at); err != nil {
		return 0, errNoBundle
	}
	// What comes behind the data is told there, and not in the header.
	if le.Uint32(b) != 0x04034b50 || !bytes.Equal(b[6:14], f.header) || !bytes.Equal(b[14:26], make([]byte, 12)) ||
		int(le.Uint16(b[26:])) != len(f.name) || int(le.Uint16(b[28:])) != len(f.extra) ||
		string(b[headerSize:headerSize+len(f.name)]) != f.name || !bytes.Equal(b[headerSize+len(f.name):], f.extra) {
		return 0, fmt.Errorf("%s is not the file that its header says: the bundle would be read in two ways", f.name)
	}
	at += int64(len(b))
	f.data = io.NewSectionReader(r, at, f.inside)
	at += f.inside
	want := le.AppendUint32(le.AppendUint32(nil, 0x08074b50), f.sum)
	if f.big {
		want = le.AppendUint64(le.AppendUint64(want, uint64(f.inside)), uint64(f.size))
	} else {
		want = le.AppendUint32(le.AppendUint32(want, uint32(f.inside)), uint32(f.size))
	}
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, at); err != nil || !bytes.Equal(got, want) {
		return 0, fmt.Errorf("%s does not end where the directory says", f.name)
	}
	return at + int64(len(want)), nil
}

// open unpacks a file. What is read must end where what is packed ends.
func (f *packed) open() io.Reader {
	raw := bufio.NewReader(f.data) // which gives single bytes, so that no more is taken than is used
	return &unpacked{f: f, raw: raw, in: flate.NewReader(raw), sum: crc32.NewIEEE()}
}

type unpacked struct {
	f   *packed
	raw *bufio.Reader
	in  io.Reader
	sum interface {
		io.Writer
		Sum32() uint32
	}
}

var errPacked = errors.New("it is not what its header says")

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	_, _ = u.sum.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) {
		if _, more := u.raw.ReadByte(); more == nil || u.sum.Sum32() != u.f.sum {
			return n, errPacked
		}
	}
	return n, err
}
