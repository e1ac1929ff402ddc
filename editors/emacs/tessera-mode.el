;;; tessera-mode.el --- Major mode for the Tessera language  -*- lexical-binding: t -*-
;; SPDX-License-Identifier: GPL-3.0-or-later

;; Version: @{version}
;; Package-Requires: ((emacs "25.1"))
;; Keywords: languages

;;; Commentary:

;; Colours, comments and indentation.  A string of Tessera ends with its line, and with it what is open in its braces:
;; every line is read anew, by a reader of its own, since strings with code in them are beyond syntax tables.

;;; Code:

(defvar tessera-keywords '("@{keywords:" "}"))
(defvar tessera-constants '("@{constants:" "}"))
(defvar tessera-headers '("@{headers:" "}")
  "Names that are keywords where a name or a string follows.")
(defvar tessera-builtins '("@{builtins:" "}"))

(defgroup tessera nil "The Tessera language." :group 'languages)
(defcustom tessera-indent-offset 4 "Columns of one level." :type 'integer :safe #'integerp)

(defface tessera-number '((t :inherit font-lock-constant-face)) "Numbers.")
(defface tessera-escape '((t :inherit font-lock-preprocessor-face)) "Escapes in strings.")
(defface tessera-brace '((t :inherit font-lock-preprocessor-face)) "The braces in strings that hold code.")
(defface tessera-command '((t :inherit font-lock-preprocessor-face)) "Commands of the prompt.")

(defconst tessera--letter "@{letters:elisp}")
(defconst tessera--name (concat "[" tessera--letter "][" tessera--letter "0-9]*"))
(defconst tessera--number "@{number:elisp}")
(defconst tessera--pointed "@{pointed:elisp}")
(defconst tessera--escape "@{escape:elisp}")
(defconst tessera--plain "@{plain:elisp}")
(defconst tessera--operator "[@{operators}]")

(defun tessera--table (words)
  "A hash table of WORDS."
  (let ((table (make-hash-table :test #'equal)))
    (dolist (word words table) (puthash word t table))))

(defvar tessera--keyword-table (tessera--table tessera-keywords))
(defvar tessera--constant-table (tessera--table tessera-constants))
(defvar tessera--header-table (tessera--table tessera-headers))
(defvar tessera--builtin-table (tessera--table tessera-builtins))

(defun tessera--reserved-p (word)
  "Whether WORD is no name."
  (or (gethash word tessera--keyword-table) (gethash word tessera--constant-table)))

(defun tessera--header-p ()
  "Whether a name or a string follows point on its line."
  (save-excursion
    (skip-chars-forward " \t\r")
    (if (looking-at tessera--name)
        (not (tessera--reserved-p (match-string-no-properties 0)))
      (or (eq (char-after) ?') (looking-at tessera--plain)))))

(defun tessera--word (before)
  "Go over the name at point, with BEFORE in front; its kind."
  (looking-at tessera--name)
  (let ((word (match-string-no-properties 0)))
    (goto-char (match-end 0))
    (cond ((equal before ".") 'member)
          ((gethash word tessera--keyword-table) 'keyword)
          ((gethash word tessera--constant-table) 'constant)
          ((and (gethash word tessera--header-table) (tessera--header-p)) 'keyword)
          ((member before '("fn" "model")) 'declared)
          ((and (eq (char-after) ?\() (gethash word tessera--builtin-table)) 'builtin)
          (t 'name))))

(defun tessera--close (open closer)
  "What CLOSER closes in the list OPEN and what is behind; t: nothing."
  (let ((wanted (cdr (assq closer '((?\) . ?\() (?\] . ?\[) (?} . ?{)))))
        (rest open))
    (when (eq closer ?})
      (while (and rest (not (memq (car rest) '(?{ format)))) (setq rest (cdr rest))))
    (if (and rest (or (eq (car rest) wanted) (eq closer ?}))) rest t)))

(defun tessera--read-line (tell)
  "Call TELL with kind, start, end of each token from point to the line's end."
  (let ((end (line-end-position)) (open nil) (text nil) (before nil) (first t))
    (while (< (point) end)
      (let ((start (point)) (kind nil) (was before) (c (char-after)))
        (unless (memq c '(?\s ?\t ?\r))
          (setq before nil))
        (cond
         (text
          (cond ((eq c ?\") (forward-char) (setq kind 'close text nil))
                ((looking-at tessera--escape) (goto-char (match-end 0)) (setq kind 'escape))
                ((eq c ?{) (forward-char) (setq kind 'brace open (cons 'format open) text nil))
                (t (forward-char) (skip-chars-forward "^\"{}\\\\" end) (setq kind 'string))))
         ((memq c '(?\s ?\t ?\r)) (skip-chars-forward " \t\r"))
         ((eq c ?#) (goto-char end) (setq kind 'comment))
         ((and first (looking-at ":[a-z?]+\\|\\?+")) (goto-char (match-end 0)) (setq kind 'command))
         ((and (looking-at tessera--pointed)
               (save-excursion (goto-char (match-end 0)) (not (looking-at (concat "[." tessera--letter "0-9]")))))
          (goto-char (+ start (- (match-end 0) start)))
          (setq kind 'number))
         ((looking-at tessera--number)
          (goto-char (match-end 0))
          (funcall tell 'number start (point))
          (setq start (point))
          (when (looking-at (concat "[" tessera--letter "0-9]+")) (goto-char (match-end 0))))
         ((eq c ?\") (forward-char) (setq kind 'open text t))
         ((eq c ?') (forward-char) (skip-chars-forward "^'" end)
          (unless (>= (point) end) (forward-char))
          (setq kind 'raw))
         ((and (eq c ?:) (eq (car open) 'format)) (skip-chars-forward "^}\"" end) (setq kind 'string))
         ((looking-at tessera--name)
          (setq kind (tessera--word was))
          (let ((word (buffer-substring-no-properties start (point))))
            (when (and (member word '("fn" "model")) (not (eq kind 'member))) (setq before word))))
         ((memq c '(?\( ?\[ ?{)) (forward-char) (setq open (cons c open)))
         ((memq c '(?\) ?\] ?}))
          (forward-char)
          (let ((rest (tessera--close open c)))
            (unless (eq rest t)
              (when (eq (car rest) 'format) (setq kind 'brace text t))
              (setq open (cdr rest)))))
         ((looking-at "\\.\\.\\.?") (goto-char (match-end 0)) (setq kind 'operator))
         ((eq c ?.) (forward-char) (setq before "."))
         ((looking-at tessera--operator) (forward-char) (setq kind 'operator))
         (t (forward-char)))
        (unless (memq c '(?\s ?\t ?\r)) (setq first nil))
        (when (and kind (< start (point))) (funcall tell kind start (point)))))))

(defconst tessera--faces
  '((keyword . font-lock-keyword-face) (constant . font-lock-constant-face) (number . tessera-number)
    (string . font-lock-string-face)
    (open . font-lock-string-face) (close . font-lock-string-face) (raw . font-lock-string-face) (escape . tessera-escape) (comment . font-lock-comment-face)
    (declared . font-lock-function-name-face) (builtin . font-lock-builtin-face)
    (command . tessera-command) (brace . tessera-brace)))

(defun tessera--fontify (limit)
  "Colour the lines from point to LIMIT; nil, for nothing is left to font lock."
  (while (< (point) limit)
    (tessera--read-line
     (lambda (kind start end)
       (let ((face (cdr (assq kind tessera--faces))))
         (when face (put-text-property start end 'face face)))))
    (forward-line 1))
  nil)

(defvar tessera-font-lock-keywords '((tessera--fontify)))

(defun tessera--fence (position)
  "Let a string begin or end with the character at POSITION."
  (when (< position (point-max))
    (put-text-property position (1+ position) 'syntax-table (string-to-syntax "|"))))

(defun tessera--propertize (start end)
  "Mark strings and comments between START and END.
A string is one with the code in it, and ends with its line at the latest."
  (goto-char start)
  (beginning-of-line)
  (while (< (point) end)
    (let ((deep 0))
      (tessera--read-line
       (lambda (kind from to)
         (cond
          ((eq kind 'open)
           (when (= deep 0) (tessera--fence from))
           (setq deep (1+ deep)))
          ((eq kind 'close)
           (setq deep (1- deep))
           (when (= deep 0) (tessera--fence (1- to))))
          ((> deep 0))
          ((eq kind 'raw)
           (tessera--fence from)
           (tessera--fence (if (and (< (1+ from) to) (eq (char-before to) ?')) (1- to) to)))
          ((eq kind 'comment)
           (put-text-property from (1+ from) 'syntax-table (string-to-syntax "<"))))))
      (when (> deep 0) (tessera--fence (line-end-position))))
    (forward-line 1)))

(defun tessera-indent-line ()
  "Indent the line: a level for each line above that leaves a bracket open.
Behind a line that ends in = it is one more."
  (interactive)
  (let* ((state (save-excursion (syntax-ppss (line-beginning-position))))
         (lines (delete-dups (mapcar #'line-number-at-pos (nth 9 state))))
         (closing (save-excursion (back-to-indentation) (memq (char-after) '(?\) ?\] ?}))))
         (goes-on (save-excursion
                    (and (not closing) (= (forward-line -1) 0) (looking-at "[^#\n]*=\\s-*$"))))
         (levels (+ (length lines) (if closing -1 0) (if goes-on 1 0)))
         (column (* tessera-indent-offset (max 0 levels))))
    (if (<= (current-column) (current-indentation))
        (indent-line-to column)
      (save-excursion (indent-line-to column)))))

(defvar tessera-mode-syntax-table
  (let ((table (make-syntax-table)))
    (modify-syntax-entry ?_ "w" table)
    (modify-syntax-entry ?\n ">" table)
    (modify-syntax-entry ?\" "." table)
    (modify-syntax-entry ?' "." table)
    (modify-syntax-entry ?\\ "." table)
    (dolist (c (string-to-list "-+*/%@^=<>|&!?.,:;")) (modify-syntax-entry c "." table))
    table))

;;;###autoload
(define-derived-mode tessera-mode prog-mode "Tessera"
  "Major mode for the Tessera language."
  (setq-local comment-start "# ")
  (setq-local comment-start-skip "#+\\s-*")
  (setq-local comment-end "")
  (setq-local indent-tabs-mode nil)
  (setq-local indent-line-function #'tessera-indent-line)
  (setq-local electric-indent-chars (append "})]" electric-indent-chars))
  (setq-local syntax-propertize-function #'tessera--propertize)
  (setq-local parse-sexp-lookup-properties t)
  (setq-local imenu-generic-expression '((nil "^\\s-*\\(?:fn\\|model\\)\\s-+\\(\\w+\\)" 1)))
  (setq-local font-lock-defaults '(tessera-font-lock-keywords t)))

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.tsr\\'" . tessera-mode))

(provide 'tessera-mode)
;;; tessera-mode.el ends here
