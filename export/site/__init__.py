"""A page that runs a TFLite file in the browser, as a folder of files for any web server, with LiteRT.js."""
