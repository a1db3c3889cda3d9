// Command publish uploads pictures and publishes a job for each: go run . -operation enhance a.jpg b.jpg
//
// It prints the id of each job. An id is made from the picture and the operations, so the same call again publishes the
// same jobs, and imagen does each of them once. Settings are those of imagen: GOOGLE_CLOUD_PROJECT, IMAGEN_JOBS_TOPIC,
// IMAGEN_UPLOAD_PREFIX, and PUBSUB_EMULATOR_HOST and STORAGE_EMULATOR_HOST for emulators.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
)

const uploadsAtOnce = 16

type input struct {
	URI string `json:"uri"`
}

type job struct {
	SchemaVersion int      `json:"schemaVersion"`
	JobID         string   `json:"jobId"`
	Operations    []string `json:"operations"`
	Input         input    `json:"input"`
}

type publisher struct {
	uploads    *storage.Client
	topic      *pubsub.Publisher
	prefix     string
	operations []string
}

var notPermitted = regexp.MustCompile(`[^A-Za-z0-9._-]`)

func (p publisher) jobOf(path string) (job, []byte, error) {
	picture, err := os.ReadFile(path)
	if err != nil {
		return job{}, nil, err
	}
	name := filepath.Base(path)
	about, err := json.Marshal([]any{name, p.operations})
	if err != nil {
		return job{}, nil, err
	}
	digest := sha256.Sum256(append(append([]byte{}, picture...), about...))
	stem := strings.TrimLeft(notPermitted.ReplaceAllString(strings.TrimSuffix(name, filepath.Ext(name)), "-"), "._-")
	if stem == "" {
		stem = "job"
	}
	id := fmt.Sprintf("%.80s-%s", stem, hex.EncodeToString(digest[:])[:24])
	return job{1, id, p.operations, input{fmt.Sprintf("%s/%s/%s", p.prefix, id, name)}}, picture, nil
}

// upload creates the object, unless it is there: an interrupted run may have uploaded it.
func (p publisher) upload(ctx context.Context, uri string, picture []byte) error {
	bucket, name, _ := strings.Cut(strings.TrimPrefix(uri, "gs://"), "/")
	object := p.uploads.Bucket(bucket).Object(name).If(storage.Conditions{DoesNotExist: true})
	writer := object.NewWriter(ctx)
	writer.ContentType = "application/octet-stream"
	writer.ChunkSize = 0 // one request
	if _, err := writer.Write(picture); err != nil {
		return err
	}
	var refused *googleapi.Error
	if err := writer.Close(); err != nil && !(errors.As(err, &refused) && refused.Code == http.StatusPreconditionFailed) {
		return err
	}
	return nil
}

func (p publisher) send(ctx context.Context, path string) (string, error) {
	job, picture, err := p.jobOf(path)
	if err != nil {
		return "", err
	}
	if err := p.upload(ctx, job.Input.URI, picture); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	data, err := json.Marshal(job)
	if err != nil {
		return "", err
	}
	// Subscriptions may filter by these attributes.
	attributes := map[string]string{"model": p.operations[0], "priority": "batch"}
	_, err = p.topic.Publish(ctx, &pubsub.Message{Data: data, Attributes: attributes}).Get(ctx)
	return job.JobID, err
}

func (p publisher) sendAll(ctx context.Context, paths []string) error {
	places := make(chan struct{}, uploadsAtOnce)
	failures := make([]error, len(paths))
	var all sync.WaitGroup
	for i, path := range paths {
		all.Add(1)
		go func() {
			defer all.Done()
			places <- struct{}{}
			defer func() { <-places }()
			id, err := p.send(ctx, path)
			if err != nil {
				failures[i] = err
				return
			}
			fmt.Println(id)
		}()
	}
	all.Wait()
	return errors.Join(failures...)
}

func run(ctx context.Context, operations, paths []string) error {
	project, prefix := os.Getenv("GOOGLE_CLOUD_PROJECT"), os.Getenv("IMAGEN_UPLOAD_PREFIX")
	if project == "" || prefix == "" {
		return errors.New("GOOGLE_CLOUD_PROJECT and IMAGEN_UPLOAD_PREFIX must be set")
	}
	topic := os.Getenv("IMAGEN_JOBS_TOPIC")
	if topic == "" {
		topic = "imagen-jobs"
	}
	client, err := pubsub.NewClient(ctx, project)
	if err != nil {
		return err
	}
	defer client.Close()
	uploads, err := storage.NewClient(ctx)
	if err != nil {
		return err
	}
	defer uploads.Close()
	p := publisher{uploads, client.Publisher(topic), strings.TrimRight(prefix, "/"), operations}
	return p.sendAll(ctx, paths)
}

func main() {
	operations := flag.String("operation", "", "names, separated by commas")
	flag.Parse()
	if *operations == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), strings.Split(*operations, ","), flag.Args()); err != nil {
		log.Fatal(err)
	}
}
