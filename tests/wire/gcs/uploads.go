package main

import (
	"bytes"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// The service takes no smaller part but the last one.
// https://cloud.google.com/storage/quotas#requests
const smallestPart = 5 << 20

type part struct {
	etag string
	data []byte
}

// uploads puts objects, whole or in parts, and leaves the rest to fake-gcs-server.
// https://cloud.google.com/storage/docs/xml-api/put-object-upload
// https://cloud.google.com/storage/docs/multipart-uploads
type uploads struct {
	server *fakestorage.Server
	lock   sync.Mutex
	number int
	begun  map[string]map[int]part
}

func (u *uploads) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	bucket, name, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	query := request.URL.Query()
	isObject := name != "" && bucket != "storage" && bucket != "upload"
	if !isObject || !(request.Method == "PUT" || request.Method == "POST" || query.Has("uploadId")) {
		u.server.HTTPHandler().ServeHTTP(answer, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		refuse(answer, 400, "IncompleteBody")
		return
	}
	if _, err := u.server.Backend().GetBucket(bucket); err != nil {
		refuse(answer, 404, "NoSuchBucket")
		return
	}
	u.lock.Lock()
	defer u.lock.Unlock()
	id := query.Get("uploadId")
	if id != "" && u.begun[id] == nil {
		refuse(answer, 404, "NoSuchUpload")
		return
	}
	switch {
	case request.Method == "POST" && query.Has("uploads"):
		u.begin(answer, bucket, name)
	case request.Method == "PUT" && id != "":
		number, _ := strconv.Atoi(query.Get("partNumber"))
		etag := tag(body)
		u.begun[id][number] = part{etag, body}
		answer.Header().Set("ETag", etag)
	case request.Method == "POST" && id != "":
		u.complete(answer, bucket, name, id, body)
	case request.Method == "DELETE":
		delete(u.begun, id)
		answer.WriteHeader(204)
	case request.Method == "PUT":
		if u.store(answer, bucket, name, body) {
			answer.Header().Set("ETag", tag(body))
		}
	default:
		refuse(answer, 400, "InvalidArgument")
	}
}

func (u *uploads) begin(answer http.ResponseWriter, bucket, name string) {
	u.number++
	id := fmt.Sprintf("upload-%d", u.number)
	u.begun[id] = map[int]part{}
	tell(answer, struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadId string
	}{Bucket: bucket, Key: name, UploadId: id})
}

func (u *uploads) complete(answer http.ResponseWriter, bucket, name, id string, body []byte) {
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if xml.Unmarshal(body, &asked) != nil || len(asked.Part) == 0 {
		refuse(answer, 400, "MalformedCompleteMultipartUploadRequest")
		return
	}
	var whole []byte
	for place, one := range asked.Part {
		found, known := u.begun[id][one.PartNumber]
		if !known || strings.Trim(found.etag, `"`) != strings.Trim(one.ETag, `"`) {
			refuse(answer, 400, "InvalidPart")
			return
		}
		if place > 0 && asked.Part[place-1].PartNumber >= one.PartNumber {
			refuse(answer, 400, "InvalidPartOrder")
			return
		}
		if place < len(asked.Part)-1 && len(found.data) < smallestPart {
			refuse(answer, 400, "EntityTooSmall")
			return
		}
		whole = append(whole, found.data...)
	}
	if !u.store(answer, bucket, name, whole) {
		return
	}
	delete(u.begun, id)
	tell(answer, struct {
		XMLName  xml.Name `xml:"CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string
	}{Bucket: bucket, Key: name, ETag: tag(whole)})
}

func (u *uploads) store(answer http.ResponseWriter, bucket, name string, data []byte) bool {
	err := u.server.CreateObjectStreaming(fakestorage.StreamingObject{
		ObjectAttrs: fakestorage.ObjectAttrs{BucketName: bucket, Name: name},
		Content:     content{bytes.NewReader(data)},
	})
	if err != nil {
		refuse(answer, 500, "InternalError")
	}
	return err == nil
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func tag(data []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(data)) }

func tell(answer http.ResponseWriter, value any) {
	answer.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	_ = xml.NewEncoder(answer).Encode(value)
}

func refuse(answer http.ResponseWriter, status int, code string) {
	answer.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	answer.WriteHeader(status)
	_ = xml.NewEncoder(answer).Encode(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}{Code: code})
}
