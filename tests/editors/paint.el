;;; paint.el --- As test_colours.c, with the mode that `tessera editors` wrote to $EDITORS/emacs  -*- lexical-binding: t -*-
;; SPDX-License-Identifier: GPL-3.0-or-later
;; usage: emacs --batch -Q -l paint.el FOLDER FILE ...

;;; Code:

(load (concat (getenv "EDITORS") "/emacs/tessera-mode.el") nil t)
(defvar paint-letters
  '((font-lock-keyword-face . ?k) (font-lock-constant-face . ?c) (tessera-number . ?n) (font-lock-string-face . ?s)
    (tessera-escape . ?s) (font-lock-comment-face . ?#) (tessera-command . ?:)))

(defun paint-letter (position)
  "The letter of the character at POSITION."
  (cond ((eq (char-after position) ?\n) ?\n)
        ((cdr (assq (get-text-property position 'face) paint-letters)))
        (t ?-)))

(let ((coding-system-for-read 'utf-8-unix) (coding-system-for-write 'utf-8-unix)
      (folder (car command-line-args-left)) (number 0))
  (dolist (file (cdr command-line-args-left))
    (setq number (1+ number))
    (with-temp-buffer
      (insert-file-contents file)
      (tessera-mode)
      (font-lock-ensure)
      (let ((painted (mapcar #'paint-letter (number-sequence (point-min) (1- (point-max))))))
        (with-temp-file (format "%s/%d" folder number) (insert (apply #'string painted)))))))
(kill-emacs 0)
;;; paint.el ends here
